"""Connections to PostgreSQL."""

from functools import partial

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from state_hub.settings import Settings

CONNECT_SECONDS = 5.0
POOL_SECONDS = 5.0


async def connect(
    database_url: str, application_name: str, statement_seconds: float | None
) -> asyncpg.Connection:
    """Open one connection. The URL is read as libpq reads it: sockets and `sslmode` work."""
    return await asyncpg.connect(
        # Tools that share the variable with SQLAlchemy may name the driver.
        database_url.replace("postgresql+asyncpg://", "postgresql://", 1),
        timeout=CONNECT_SECONDS,
        command_timeout=statement_seconds,
        server_settings={"application_name": application_name},
    )


def create_engine(settings: Settings) -> AsyncEngine:
    """Create the pool of the API. It connects on first use."""
    opener = partial(connect, settings.database_url, "state-hub", settings.statement_seconds)
    return create_async_engine(
        "postgresql+asyncpg://",
        async_creator=opener,
        pool_pre_ping=True,
        pool_timeout=POOL_SECONDS,
    )


def create_migration_engine(settings: Settings) -> AsyncEngine:
    """Create an engine for migrations, whose statements may take as long as they need."""
    opener = partial(connect, settings.database_url, "state-hub migrations", None)
    return create_async_engine("postgresql+asyncpg://", async_creator=opener)
