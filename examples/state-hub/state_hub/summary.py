"""The cached summary.

An answer may be as old as the cache allows, and it is given out while the database is frozen,
moved or gone. It says nothing about the database of this moment: ask `/state/identity` for that.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from state_hub.bodies import StateSummary
from state_hub.models import ProgressEvent, Task, TaskStatus, Topic


@dataclass(frozen=True, slots=True)
class _Entry:
    summary: StateSummary
    loaded: float


class SummaryCache:
    """The last summary. One request loads it; others that need it meanwhile wait."""

    def __init__(self, seconds: float) -> None:
        """Create an empty cache whose entry is good for some seconds."""
        self._seconds = seconds
        self._entry: _Entry | None = None
        self._lock = asyncio.Lock()

    async def get(self, load: Callable[[], Awaitable[StateSummary]]) -> tuple[StateSummary, int]:
        """Return the summary and its age in seconds. A failed load is not kept."""
        async with self._lock:
            entry = self._entry
            if entry is None or time.monotonic() - entry.loaded >= self._seconds:
                entry = self._entry = _Entry(await load(), time.monotonic())
            return entry.summary, int(time.monotonic() - entry.loaded)


async def load(session: AsyncSession) -> StateSummary:
    """Count everything, under one snapshot."""
    await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
    by_status = await session.execute(select(Task.status, func.count()).group_by(Task.status))
    tasks = dict.fromkeys(TaskStatus, 0)
    tasks.update((status, count) for status, count in by_status)
    row = (
        await session.execute(
            select(
                func.now(),
                select(func.count()).select_from(Topic).scalar_subquery(),
                select(func.count()).select_from(ProgressEvent).scalar_subquery(),
                select(func.max(ProgressEvent.created_at)).scalar_subquery(),
            )
        )
    ).one()
    return StateSummary(
        generated_at=row[0], topics=row[1], tasks=tasks, events=row[2], last_event_at=row[3]
    )
