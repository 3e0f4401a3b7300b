"""The append-only log of progress: appending once per key, and reading in commit order."""

import uuid
from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from state_hub.bodies import EventIn
from state_hub.models import ProgressEvent


class KeyReusedError(Exception):
    """An idempotency key came with another body than the first time."""


async def append(session: AsyncSession, event: EventIn, key: str | None) -> ProgressEvent:
    """Append an event. With a key that is known, return the event of the first time.

    The caller commits.
    """
    statement = (
        insert(ProgressEvent)
        .values(**event.model_dump(), idempotency_key=key)
        .on_conflict_do_nothing(index_elements=[ProgressEvent.idempotency_key])
        .returning(ProgressEvent)
    )
    appended = await session.scalar(statement)
    if appended is not None:
        return appended
    # The insert waited for the transaction that has the key, so its row is visible now.
    known = (
        await session.scalars(select(ProgressEvent).where(ProgressEvent.idempotency_key == key))
    ).one()
    if not _is_repeat(known, event):
        raise KeyReusedError(key)
    return known


def _is_repeat(known: ProgressEvent, event: EventIn) -> bool:
    # A reference is null once its topic or task is deleted.
    def same(stored: uuid.UUID | None, sent: uuid.UUID | None) -> bool:
        return stored is None or stored == sent

    return (
        (known.kind, known.agent, known.summary, known.detail)
        == (event.kind, event.agent, event.summary, event.detail)
        and same(known.topic_id, event.topic_id)
        and same(known.task_id, event.task_id)
    )


async def read(session: AsyncSession, after: int, limit: int) -> Sequence[ProgressEvent]:
    """Read the events behind a sequence number, oldest first."""
    statement = (
        select(ProgressEvent)
        .where(ProgressEvent.sequence > after)
        .order_by(ProgressEvent.sequence)
        .limit(limit)
    )
    return (await session.scalars(statement)).all()


async def end(session: AsyncSession) -> int:
    """Return the sequence number of the newest event, or 0."""
    return await session.scalar(select(func.coalesce(func.max(ProgressEvent.sequence), 0))) or 0
