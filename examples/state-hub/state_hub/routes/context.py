"""What endpoints get from the app."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Query, Request
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from state_hub.settings import Settings
from state_hub.summary import SummaryCache


def _sessions(request: Request) -> async_sessionmaker[AsyncSession]:
    return request.app.state.sessions


def _settings(request: Request) -> Settings:
    return request.app.state.settings


def _summary_cache(request: Request) -> SummaryCache:
    return request.app.state.summary_cache


SessionMaker = Annotated[async_sessionmaker[AsyncSession], Depends(_sessions)]
AppSettings = Annotated[Settings, Depends(_settings)]
AppSummaryCache = Annotated[SummaryCache, Depends(_summary_cache)]
Limit = Annotated[int, Query(ge=1, le=500)]
Offset = Annotated[int, Query(ge=0, le=1_000_000_000)]


async def _session(sessions: SessionMaker) -> AsyncIterator[AsyncSession]:
    async with sessions() as session:
        yield session


# The session ends before the answer is sent: a commit that fails must not look like a success.
Session = Annotated[AsyncSession, Depends(_session, scope="function")]
