"""An index of open tasks, built while the service writes."""

import sqlalchemy as sa
from alembic import op

revision = "open_tasks_0005"
down_revision = "e81f4ac7720d"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Build the index. One that an interrupted build left invalid is built again."""
    with op.get_context().autocommit_block():
        op.drop_index("ix_tasks_open", if_exists=True, postgresql_concurrently=True)
        op.create_index(
            "ix_tasks_open",
            "tasks",
            ["topic_id", "priority"],
            postgresql_where=sa.text("status NOT IN ('done', 'cancelled')"),
            postgresql_concurrently=True,
        )


def downgrade() -> None:
    """Drop the index."""
    with op.get_context().autocommit_block():
        op.drop_index("ix_tasks_open", if_exists=True, postgresql_concurrently=True)
