"""Tasks have a priority; those that are there get one by their status."""

import sqlalchemy as sa
from alembic import op

revision = "task_priority_0003"
down_revision = "progress_events_0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column, fill it, and only then require it."""
    op.add_column("tasks", sa.Column("priority", sa.SmallInteger(), nullable=True))
    op.execute(
        "UPDATE tasks SET priority = CASE status"
        " WHEN 'blocked' THEN 1 WHEN 'in_progress' THEN 2 ELSE 3 END"
    )
    op.alter_column("tasks", "priority", nullable=False, server_default=sa.text("3"))
    op.create_check_constraint("tasks_priority_check", "tasks", "priority BETWEEN 1 AND 5")


def downgrade() -> None:
    """Drop the column."""
    op.drop_column("tasks", "priority")
