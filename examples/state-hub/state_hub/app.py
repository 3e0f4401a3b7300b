"""The API: `uvicorn state_hub.app:app`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from sqlalchemy.ext.asyncio import async_sessionmaker

from state_hub import errors
from state_hub.database import create_engine
from state_hub.routes import events, state, tasks, topics
from state_hub.settings import Settings
from state_hub.summary import SummaryCache


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings = Settings.from_environment()
    engine = create_engine(settings)
    app.state.settings = settings
    app.state.sessions = async_sessionmaker(engine, expire_on_commit=False)
    app.state.summary_cache = SummaryCache(settings.summary_seconds)
    try:
        yield
    finally:
        await engine.dispose()


def create_app() -> FastAPI:
    """Create the app. Its settings are read when it starts."""
    app = FastAPI(title="State Hub", version="0.1.0", lifespan=_lifespan)
    errors.install(app)
    for module in (state, topics, tasks, events):
        app.include_router(module.router)
    return app


app = create_app()
