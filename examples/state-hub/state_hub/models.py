"""Tables, as the newest migration leaves them; `alembic check` compares the two."""

import enum
import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    Enum,
    ForeignKey,
    Identity,
    Index,
    SmallInteger,
    Text,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class TaskStatus(enum.StrEnum):
    """State of a task."""

    TODO = "todo"
    IN_PROGRESS = "in_progress"
    BLOCKED = "blocked"
    DONE = "done"
    CANCELLED = "cancelled"


class EventKind(enum.StrEnum):
    """Kind of a progress event."""

    NOTE = "note"
    COMMIT = "commit"
    STATUS_CHANGE = "status_change"
    SWEEP = "sweep"


class Base(DeclarativeBase):
    """Base of all tables."""


def _id() -> Mapped[uuid.UUID]:
    return mapped_column(Uuid, primary_key=True, server_default=func.gen_random_uuid())


def _detail() -> Mapped[dict[str, Any]]:
    return mapped_column(JSONB, server_default=text("'{}'::jsonb"))


def _now() -> Mapped[datetime]:
    return mapped_column(DateTime(timezone=True), server_default=func.now())


def _reference(column: str, *, index: bool) -> Mapped[uuid.UUID | None]:
    return mapped_column(Uuid, ForeignKey(column, ondelete="SET NULL"), index=index)


class Topic(Base):
    """A subject that tasks and events belong to."""

    __tablename__ = "topics"

    id: Mapped[uuid.UUID] = _id()
    slug: Mapped[str] = mapped_column(Text, unique=True)
    title: Mapped[str] = mapped_column(Text)
    detail: Mapped[dict[str, Any]] = _detail()
    created_at: Mapped[datetime] = _now()
    updated_at: Mapped[datetime] = _now()


class Task(Base):
    """A piece of work."""

    __tablename__ = "tasks"
    __table_args__ = (
        CheckConstraint("priority BETWEEN 1 AND 5", name="tasks_priority_check"),
        Index(
            "ix_tasks_open",
            "topic_id",
            "priority",
            postgresql_where=text("status NOT IN ('done', 'cancelled')"),
        ),
    )

    id: Mapped[uuid.UUID] = _id()
    topic_id: Mapped[uuid.UUID | None] = _reference("topics.id", index=True)
    title: Mapped[str] = mapped_column(Text)
    status: Mapped[TaskStatus] = mapped_column(
        Enum(TaskStatus, name="task_status", values_callable=lambda kind: [*kind]),
        server_default=text("'todo'::task_status"),
    )
    priority: Mapped[int] = mapped_column(SmallInteger, server_default=text("3"))
    detail: Mapped[dict[str, Any]] = _detail()
    created_at: Mapped[datetime] = _now()
    updated_at: Mapped[datetime] = _now()


class ProgressEvent(Base):
    """An entry of the append-only log. The server sets its time; sequence order is commit order."""

    __tablename__ = "progress_events"
    __table_args__ = (
        CheckConstraint(
            "kind IN ('note', 'commit', 'status_change', 'sweep')",
            name="progress_events_kind_check",
        ),
        Index("ix_progress_events_idempotency_key", "idempotency_key", unique=True),
    )

    id: Mapped[uuid.UUID] = _id()
    sequence: Mapped[int] = mapped_column(BigInteger, Identity(always=True), unique=True)
    topic_id: Mapped[uuid.UUID | None] = _reference("topics.id", index=True)
    task_id: Mapped[uuid.UUID | None] = _reference("tasks.id", index=True)
    kind: Mapped[str] = mapped_column(Text)
    agent: Mapped[str] = mapped_column(Text)
    summary: Mapped[str] = mapped_column(Text)
    detail: Mapped[dict[str, Any]] = _detail()
    idempotency_key: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.clock_timestamp()
    )
