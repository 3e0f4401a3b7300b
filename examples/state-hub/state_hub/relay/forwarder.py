"""Forwarding: pending events go to the API one by one, in the order in which they came."""

import asyncio
import logging
import sqlite3
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Self

import httpx

from state_hub.relay.outbox import Entry, Outbox

log = logging.getLogger(__name__)

_BATCH = 100
_REQUEST_SECONDS = 10.0
_FIRST_DELAY = 0.25
_LONGEST_DELAY = 5.0

# Statuses that say no to this event. Everything else may be an outage, or another server.
_REFUSALS = {
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.CONFLICT,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
}


@dataclass(frozen=True, slots=True)
class Pass:
    """What one pass over the outbox did; with an error, it ended early."""

    delivered: int
    rejected: int
    error: str | None


class _UnknownOutcomeError(Exception):
    """The API may or may not have the event."""


class _RefusedError(Exception):
    """The API says that it will never take the event."""


class Forwarder:
    """Forwards the events of one outbox to one API."""

    def __init__(self, outbox: Outbox, api: str) -> None:
        """Create a forwarder; it opens connections when there is something to forward."""
        self._outbox = outbox
        self._client = httpx.AsyncClient(base_url=api, timeout=_REQUEST_SECONDS)
        self._wake = asyncio.Event()

    async def __aenter__(self) -> Self:
        """Return the forwarder itself."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the connections."""
        await self._client.aclose()

    def wake(self) -> None:
        """Tell a forwarder that runs about a new event."""
        self._wake.set()

    async def run(self) -> None:
        """Forward until cancelled. While the API fails, wait longer and longer between tries."""
        delay = _FIRST_DELAY
        while True:
            self._wake.clear()
            try:
                done = await self.forward_pending()
            except sqlite3.Error as error:
                done = Pass(0, 0, f"the outbox cannot be used now: {error}")
            if done.error is None:
                delay = _FIRST_DELAY
                await self._wake.wait()
            else:
                log.warning("the next try is in %s s: %s", delay, done.error)
                await asyncio.sleep(delay)
                delay = min(delay * 2, _LONGEST_DELAY)

    async def forward_pending(self, until: int | None = None) -> Pass:
        """Forward until nothing is pending, or one event cannot be delivered now.

        Events behind the position `until` are left out: while clients write, others always come.
        """
        delivered = rejected = 0
        while entries := await asyncio.to_thread(self._outbox.pending, _BATCH, until):
            for entry in entries:
                try:
                    await self._send(entry)
                except _RefusedError as refusal:
                    await asyncio.to_thread(self._outbox.rejected, entry, str(refusal))
                    rejected += 1
                except _UnknownOutcomeError as error:
                    await asyncio.to_thread(self._outbox.failed, entry, str(error))
                    return Pass(delivered, rejected, str(error))
                else:
                    await asyncio.to_thread(self._outbox.delivered, entry)
                    delivered += 1
        return Pass(delivered, rejected, None)

    async def _send(self, entry: Entry) -> None:
        headers = {"Content-Type": "application/json", "Idempotency-Key": entry.key}
        try:
            response = await self._client.post("/events", content=entry.body, headers=headers)
        except httpx.HTTPError as error:
            raise _UnknownOutcomeError(f"{type(error).__name__}: {error}") from error
        if response.status_code in _REFUSALS:
            raise _RefusedError(f"HTTP {response.status_code}: {response.text[:500]}")
        # A login page is a 200 as well: only the event itself proves that the API has it.
        if response.status_code != HTTPStatus.CREATED or _key_of(response) != entry.key:
            raise _UnknownOutcomeError(f"HTTP {response.status_code} is no answer of the API")


def _key_of(response: httpx.Response) -> str | None:
    try:
        body = response.json()
    except ValueError:
        return None
    return body.get("idempotency_key") if isinstance(body, dict) else None
