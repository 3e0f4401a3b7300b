"""The outbox: a SQLite file of events and of what became of them."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

KEEP_DELIVERED = timedelta(days=14)
"""How long a key is known after its event was delivered."""

_BUSY_SECONDS = 10.0

_SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL UNIQUE,
    body TEXT NOT NULL,
    accepted_at TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'rejected')),
    settled_at TEXT,
    attempts INTEGER NOT NULL DEFAULT 0,
    last_error TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS events_state ON events (state, position);
"""


class NoOutboxError(Exception):
    """There is no outbox at a path. That is not the same as an empty one."""


class KeyReusedError(Exception):
    """An idempotency key came with another body than the first time."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An event in the outbox."""

    position: int
    key: str
    body: str
    accepted_at: str


@dataclass(frozen=True, slots=True)
class Status:
    """How many events are in which state, and since when the oldest pending one waits."""

    pending: int
    rejected: int
    delivered: int
    oldest_pending: str | None
    last_error: str | None


class Outbox:
    """An outbox. Several processes may use it at a time; each call is one transaction."""

    def __init__(self, path: Path) -> None:
        """Open an outbox that exists; raise `NoOutboxError` where there is none."""
        if not path.is_file():
            raise NoOutboxError(f"there is no outbox at {path}")
        self._path = path
        with closing(self._connect()) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(_SCHEMA)

    @classmethod
    def create(cls, path: Path) -> Self:
        """Open an outbox, and create it where there is none."""
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
        return cls(path)

    def accept(self, key: str, body: str) -> Entry:
        """Store an event, or find the one that its key stored before."""
        with self._transaction() as connection:
            connection.execute(
                "INSERT INTO events (key, body, accepted_at) VALUES (?, ?, ?)"
                " ON CONFLICT (key) DO NOTHING",
                (key, body, _now()),
            )
            row = connection.execute(
                "SELECT position, key, body, accepted_at FROM events WHERE key = ?", (key,)
            ).fetchone()
        entry = Entry(*row)
        if entry.body != body:
            raise KeyReusedError(key)
        return entry

    def pending(self, limit: int, until: int | None = None) -> list[Entry]:
        """Read pending events, oldest first, those behind the position `until` left out."""
        with self._transaction() as connection:
            rows = connection.execute(
                "SELECT position, key, body, accepted_at FROM events WHERE state = 'pending'"
                " AND (?1 IS NULL OR position <= ?1) ORDER BY position LIMIT ?2",
                (until, limit),
            ).fetchall()
        return [Entry(*row) for row in rows]

    def end(self) -> int:
        """Return the position of the newest event, or 0."""
        with self._transaction() as connection:
            return connection.execute(
                "SELECT coalesce(max(position), 0) FROM events"
            ).fetchone()[0]

    def delivered(self, entry: Entry) -> None:
        """Record that the API has an event; forget those that it has had for long."""
        with self._transaction() as connection:
            self._settle(connection, entry, "delivered", None)
            connection.execute(
                "DELETE FROM events WHERE state = 'delivered' AND settled_at < ?",
                (_now(-KEEP_DELIVERED),),
            )

    def rejected(self, entry: Entry, reason: str) -> None:
        """Record that the API refuses an event. It is kept until somebody decides."""
        with self._transaction() as connection:
            self._settle(connection, entry, "rejected", reason)

    def failed(self, entry: Entry, reason: str) -> None:
        """Record a try of which it is not known that it succeeded; the event stays pending."""
        with self._transaction() as connection:
            connection.execute(
                "UPDATE events SET attempts = attempts + 1, last_error = ?"
                " WHERE position = ? AND state = 'pending'",
                (reason, entry.position),
            )

    def retry_rejected(self) -> int:
        """Let rejected events be pending again; return how many there were."""
        with self._transaction() as connection:
            return connection.execute(
                "UPDATE events SET state = 'pending', settled_at = NULL WHERE state = 'rejected'"
            ).rowcount

    def status(self) -> Status:
        """Count the events by state."""
        with self._transaction() as connection:
            counts = dict(
                connection.execute("SELECT state, count(*) FROM events GROUP BY state").fetchall()
            )
            oldest = connection.execute(
                "SELECT accepted_at, last_error FROM events WHERE state = 'pending'"
                " ORDER BY position LIMIT 1"
            ).fetchone()
        since, error = oldest or (None, None)
        return Status(
            pending=counts.get("pending", 0),
            rejected=counts.get("rejected", 0),
            delivered=counts.get("delivered", 0),
            oldest_pending=since,
            last_error=error,
        )

    @staticmethod
    def _settle(
        connection: sqlite3.Connection, entry: Entry, state: str, reason: str | None
    ) -> None:
        connection.execute(
            "UPDATE events SET state = ?, settled_at = ?, attempts = attempts + 1, last_error = ?"
            " WHERE position = ? AND state = 'pending'",
            (state, _now(), reason, entry.position),
        )

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=_BUSY_SECONDS, isolation_level=None)
        # What was accepted outlives a loss of power.
        connection.execute("PRAGMA synchronous = FULL")
        return connection

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with closing(self._connect()) as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")


def _now(offset: timedelta = timedelta()) -> str:
    return (datetime.now(UTC) + offset).isoformat(timespec="milliseconds")
