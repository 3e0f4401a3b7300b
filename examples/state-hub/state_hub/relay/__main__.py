"""The command line of the relay: `python -m state_hub.relay serve|status|replay`."""

import argparse
import asyncio
import json
import logging
import os
import sqlite3
import sys
from dataclasses import asdict
from pathlib import Path

from state_hub.relay.outbox import NoOutboxError, Outbox

# `status` is asked by hooks, often: each command imports only what it needs.

_API = "http://127.0.0.1:8000"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m state_hub.relay", description=__doc__)
    parser.add_argument(
        "--outbox",
        type=Path,
        default=os.environ.get("STATE_HUB_OUTBOX", "~/.statehub/edge-outbox.sqlite3"),
        help="the SQLite file [STATE_HUB_OUTBOX; default: ~/.statehub/edge-outbox.sqlite3]",
    )
    parser.add_argument(
        "--api",
        default=os.environ.get("STATE_HUB_API", _API),
        help=f"where the API is [STATE_HUB_API; default: {_API}]",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="accept events, and forward them")
    serve.add_argument("--host", default="127.0.0.1")
    serve.add_argument("--port", type=int, default=8100)
    serve.add_argument("--hold", action="store_true", help="accept events, and forward none")
    status = commands.add_parser("status", help="count pending, rejected and delivered events")
    status.add_argument("--json", action="store_true")
    replay = commands.add_parser("replay", help="forward pending events; exit 1 if some remain")
    replay.add_argument("--rejected", action="store_true", help="forward rejected events as well")
    return parser


def _serve(outbox: Outbox, arguments: argparse.Namespace) -> int:
    import uvicorn

    from state_hub.relay.server import create_app

    app = create_app(outbox, arguments.api, hold=arguments.hold)
    uvicorn.run(app, host=arguments.host, port=arguments.port, timeout_graceful_shutdown=2)
    return 0


def _status(outbox: Outbox, arguments: argparse.Namespace) -> int:
    status = asdict(outbox.status())
    if arguments.json:
        print(json.dumps(status))
    else:
        for name, value in status.items():
            print(f"{name}: {'-' if value is None else value}")
    return 0


def _replay(outbox: Outbox, arguments: argparse.Namespace) -> int:
    from state_hub.relay.forwarder import Forwarder, Pass

    async def replay() -> Pass:
        async with Forwarder(outbox, arguments.api) as forwarder:
            return await forwarder.forward_pending(outbox.end())

    if arguments.rejected:
        outbox.retry_rejected()
    done = asyncio.run(replay())
    print(json.dumps(asdict(done) | {"pending": outbox.status().pending}))
    return 1 if done.error or done.rejected else 0


def main() -> int:
    """Run the command; return its exit code."""
    arguments = _parser().parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    path = arguments.outbox.expanduser()
    commands = {"serve": _serve, "status": _status, "replay": _replay}
    try:
        outbox = Outbox.create(path) if arguments.command == "serve" else Outbox(path)
        return commands[arguments.command](outbox, arguments)
    except (NoOutboxError, OSError, sqlite3.Error) as error:
        print(f"error: {error}", file=sys.stderr)
        return 3


if __name__ == "__main__":
    sys.exit(main())
