"""Events have an idempotency key: a client that repeats one adds no second event."""

import sqlalchemy as sa
from alembic import op

revision = "3b60d7fe9c15"
down_revision = "open_tasks_0005"
branch_labels = None
depends_on = None

_COLUMNS = "id, sequence, kind, agent, summary, detail, created_at"


def _append_only(columns: str) -> None:
    op.execute("DROP TRIGGER progress_events_append_only ON progress_events")
    op.execute(
        f"CREATE TRIGGER progress_events_append_only BEFORE DELETE OR UPDATE OF {columns}"
        " ON progress_events FOR EACH ROW EXECUTE FUNCTION refuse_change()"
    )


def upgrade() -> None:
    """Add the column; what is append-only includes it."""
    op.add_column("progress_events", sa.Column("idempotency_key", sa.Text(), nullable=True))
    op.create_index(
        "ix_progress_events_idempotency_key", "progress_events", ["idempotency_key"], unique=True
    )
    _append_only(f"{_COLUMNS}, idempotency_key")


def downgrade() -> None:
    """Drop the column."""
    _append_only(_COLUMNS)
    op.drop_column("progress_events", "idempotency_key")
