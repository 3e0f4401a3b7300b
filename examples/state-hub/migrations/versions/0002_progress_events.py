"""Progress events, an append-only table."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "progress_events_0002"
down_revision = "7c1d2e9a40b3"
branch_labels = None
depends_on = None

_TRIGGERS = (
    """
    CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION '% of % is not allowed: the table is append-only', TG_OP, TG_TABLE_NAME;
    END
    $$
    """,
    # Deleting a topic or a task sets references to null: the only change that is allowed.
    """
    CREATE TRIGGER progress_events_append_only
        BEFORE DELETE OR UPDATE OF id, sequence, kind, agent, summary, detail, created_at
        ON progress_events FOR EACH ROW EXECUTE FUNCTION refuse_change()
    """,
    """
    CREATE TRIGGER progress_events_no_truncate
        BEFORE TRUNCATE ON progress_events EXECUTE FUNCTION refuse_change()
    """,
    # A writer waits for the one before it. So sequence numbers become visible in their order,
    # and a reader that asks for what follows the last number misses nothing. A trigger of the
    # statement comes before the row, and so before its number.
    """
    CREATE FUNCTION lock_progress_events() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_advisory_xact_lock(hashtext('progress_events'));
        RETURN NULL;
    END
    $$
    """,
    """
    CREATE TRIGGER progress_events_in_order
        BEFORE INSERT ON progress_events EXECUTE FUNCTION lock_progress_events()
    """,
)


def upgrade() -> None:
    """Create the table and its triggers."""
    op.create_table(
        "progress_events",
        sa.Column("id", sa.Uuid(), primary_key=True, server_default=sa.text("gen_random_uuid()")),
        sa.Column("sequence", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column(
            "topic_id", sa.Uuid(), sa.ForeignKey("topics.id", ondelete="SET NULL"), index=True
        ),
        sa.Column("task_id", sa.Uuid(), sa.ForeignKey("tasks.id", ondelete="SET NULL"), index=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("agent", sa.Text(), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column(
            "detail", postgresql.JSONB(), nullable=False, server_default=sa.text("'{}'::jsonb")
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            nullable=False,
            server_default=sa.func.clock_timestamp(),
        ),
        sa.UniqueConstraint("sequence", name="progress_events_sequence_key"),
        sa.CheckConstraint(
            "kind IN ('note', 'commit', 'status_change', 'sweep')",
            name="progress_events_kind_check",
        ),
    )
    for statement in _TRIGGERS:
        op.execute(statement)


def downgrade() -> None:
    """Drop the table and its triggers."""
    op.drop_table("progress_events")
    op.execute("DROP FUNCTION lock_progress_events")
    op.execute("DROP FUNCTION refuse_change")
