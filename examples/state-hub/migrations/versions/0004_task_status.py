"""The status of a task is an enum."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "e81f4ac7720d"
down_revision = "task_priority_0003"
branch_labels = None
depends_on = None

_STATUS = postgresql.ENUM("todo", "in_progress", "blocked", "done", "cancelled", name="task_status")


def upgrade() -> None:
    """Convert the column. A status that is none of these ends the migration."""
    _STATUS.create(op.get_bind())
    op.alter_column("tasks", "status", server_default=None)
    op.alter_column("tasks", "status", type_=_STATUS, postgresql_using="status::task_status")
    op.alter_column("tasks", "status", server_default=sa.text("'todo'::task_status"))


def downgrade() -> None:
    """Convert the column back."""
    op.alter_column("tasks", "status", server_default=None)
    op.alter_column("tasks", "status", type_=sa.Text(), postgresql_using="status::text")
    op.alter_column("tasks", "status", server_default="todo")
    _STATUS.drop(op.get_bind())
