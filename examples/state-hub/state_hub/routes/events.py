"""Progress events: append, read, follow."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Header, HTTPException, Query
from fastapi.sse import EventSourceResponse, ServerSentEvent

from state_hub import log
from state_hub.bodies import EventIn, EventOut, Key
from state_hub.errors import DATABASE_ERRORS
from state_hub.models import ProgressEvent
from state_hub.routes.context import AppSettings, Limit, Session, SessionMaker

router = APIRouter(prefix="/events", tags=["events"])
logger = logging.getLogger(__name__)

_BATCH = 100
_RECONNECT_MILLISECONDS = 1000

Sequence64 = Annotated[int, Query(ge=0, lt=2**63)]


@router.post("", status_code=201, response_model=EventOut)
async def append_event(
    body: EventIn, session: Session, idempotency_key: Annotated[Key | None, Header()] = None
) -> ProgressEvent:
    """Append an event. A repeat of an `Idempotency-Key` gets the answer of the first time."""
    try:
        event = await log.append(session, body, idempotency_key)
    except log.KeyReusedError:
        raise HTTPException(422, "this Idempotency-Key came with another body before") from None
    await session.commit()
    return event


@router.get("", response_model=list[EventOut])
async def list_events(
    session: Session, after: Sequence64 = 0, limit: Limit = 100
) -> Sequence[ProgressEvent]:
    """List events in the order of their commits, those behind the sequence number `after`."""
    return await log.read(session, after, limit)


async def _position(
    sessions: SessionMaker,
    after: Sequence64 | None = None,
    last_event_id: Annotated[int | None, Header(ge=0, lt=2**63)] = None,
) -> int:
    """Where a stream begins. It is asked before the answer begins, so that failing is a 503."""
    known = last_event_id if last_event_id is not None else after
    async with sessions() as session:
        newest = await log.end(session)
    return newest if known is None else known


@router.get("/stream", response_class=EventSourceResponse)
async def stream_events(
    position: Annotated[int, Depends(_position)], sessions: SessionMaker, settings: AppSettings
) -> AsyncIterator[ServerSentEvent]:
    """Follow the log: events behind `Last-Event-ID` or `after`, or else those from now on.

    The stream ends when the database cannot be read; clients come back with `Last-Event-ID`.
    """
    yield ServerSentEvent(comment=f"after {position}", retry=_RECONNECT_MILLISECONDS)
    while True:
        try:
            async with sessions() as session:
                events = await log.read(session, position, _BATCH)
        except DATABASE_ERRORS as error:
            logger.warning("an event stream ends: %s", error)
            return
        for event in events:
            position = event.sequence
            data = EventOut.model_validate(event)
            yield ServerSentEvent(event="progress", id=str(position), data=data)
        if len(events) < _BATCH:
            await asyncio.sleep(settings.poll_seconds)
