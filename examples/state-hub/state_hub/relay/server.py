"""The local end of the relay: `POST /events`, `GET /status`."""

import asyncio
import contextlib
import sqlite3
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Annotated

from fastapi import FastAPI, Header, HTTPException
from pydantic import BaseModel

from state_hub import errors
from state_hub.bodies import EventIn, Key
from state_hub.relay.forwarder import Forwarder
from state_hub.relay.outbox import KeyReusedError, Outbox


class Accepted(BaseModel):
    """Answer to an event that is in the outbox."""

    idempotency_key: str
    accepted_at: str


def create_app(outbox: Outbox, api: str, *, hold: bool) -> FastAPI:
    """Create the app. On hold, it accepts events and forwards none."""
    forwarder = Forwarder(outbox, api)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with forwarder:
            task = None if hold else asyncio.create_task(forwarder.run())
            yield
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    app = FastAPI(title="State Hub relay", version="0.1.0", lifespan=lifespan)
    errors.install(app, (sqlite3.Error, OSError))

    @app.post("/events", status_code=202)
    async def accept_event(
        body: EventIn, idempotency_key: Annotated[Key | None, Header()] = None
    ) -> Accepted:
        key = idempotency_key or str(uuid.uuid4())
        try:
            entry = await asyncio.to_thread(outbox.accept, key, body.model_dump_json())
        except KeyReusedError:
            raise HTTPException(422, "this Idempotency-Key came with another body before") from None
        forwarder.wake()
        return Accepted(idempotency_key=entry.key, accepted_at=entry.accepted_at)

    @app.get("/status")
    async def status() -> dict[str, object]:
        return asdict(await asyncio.to_thread(outbox.status))

    return app
