"""The sweep: `python -m state_hub.sweep`. It writes to the database itself, as cron jobs do."""

import argparse
import asyncio
import json
import logging
import signal

import asyncpg

from state_hub.database import connect
from state_hub.settings import Settings, SettingsError

log = logging.getLogger("state_hub.sweep")

_STATEMENT_SECONDS = 10.0

_BLOCK_STALE = """
    UPDATE tasks SET status = 'blocked', updated_at = now()
     WHERE status = 'in_progress' AND updated_at < now() - interval '7 days'
"""
_COUNT_OPEN = "SELECT count(*) FROM tasks WHERE status NOT IN ('done', 'cancelled')"
_RECORD = """
    INSERT INTO progress_events (kind, agent, summary, detail)
    VALUES ('sweep', 'sweep', $1, $2::jsonb)
"""


async def sweep(database_url: str) -> None:
    """Block tasks that nobody touched for a week, and record the run; all or nothing."""
    connection = await connect(database_url, "state-hub sweep", _STATEMENT_SECONDS)
    try:
        async with connection.transaction():
            blocked = int((await connection.execute(_BLOCK_STALE)).split()[-1])
            open_tasks = await connection.fetchval(_COUNT_OPEN)
            summary = f"{open_tasks} open tasks, {blocked} of them blocked now"
            detail = json.dumps({"open": open_tasks, "blocked": blocked})
            await connection.execute(_RECORD, summary, detail)
    finally:
        await connection.close(timeout=_STATEMENT_SECONDS)


async def run(database_url: str, interval: float) -> None:
    """Sweep at once and then at every interval, until SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    due = loop.time()
    while not stop.is_set():
        try:
            await sweep(database_url)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            # As a cron job: the next run is another try.
            log.warning("sweep failed: %s", error)
        else:
            log.info("swept")
        # Runs that a slow one has missed are left out.
        due = max(due + interval, loop.time())
        try:
            async with asyncio.timeout_at(due):
                await stop.wait()
        except TimeoutError:
            continue


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m state_hub.sweep", description=__doc__)
    parser.add_argument("--interval", type=float, default=15.0, help="seconds [default: 15]")
    parser.add_argument("--once", action="store_true", help="sweep once, and fail if that fails")
    arguments = parser.parse_args()
    if arguments.interval <= 0:
        parser.error("--interval must be more than 0")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        database_url = Settings.from_environment().database_url
    except SettingsError as error:
        parser.error(str(error))
    if arguments.once:
        asyncio.run(sweep(database_url))
    else:
        asyncio.run(run(database_url, arguments.interval))


if __name__ == "__main__":
    main()
