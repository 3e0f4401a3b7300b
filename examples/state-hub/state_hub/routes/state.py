"""The state of the service: health, identity, summary."""

from fastapi import APIRouter, HTTPException, Response
from sqlalchemy import text

from state_hub import summary
from state_hub.bodies import Health, Identity, StateSummary
from state_hub.routes.context import AppSettings, AppSummaryCache, Session, SessionMaker

router = APIRouter(prefix="/state", tags=["state"])

# The setting that hubctl marks a database with; a database that never moved has none.
_MARKER = "hubctl.epoch"

_REVISION = text("SELECT version_num FROM alembic_version")

# The marker is read from the catalogue: a session knows the one of its beginning.
_IDENTITY = text("""
    SELECT (SELECT system_identifier::text FROM pg_catalog.pg_control_system()),
           d.datname, d.oid::bigint,
           (SELECT substr(setting, length(:marker) + 2)
              FROM pg_catalog.pg_db_role_setting AS s, unnest(s.setconfig) AS setting
             WHERE s.setdatabase = d.oid AND s.setrole = 0
               AND starts_with(setting, :marker || '='))
      FROM pg_catalog.pg_database AS d
     WHERE d.datname = current_database()
""")


@router.get("/health")
async def health(session: Session) -> Health:
    """Answer 200 where the database answers and is migrated, and 503 otherwise."""
    revisions = (await session.scalars(_REVISION)).all()
    if len(revisions) != 1:
        raise HTTPException(503, f"the database has {len(revisions)} revisions instead of one")
    return Health(status="ok", revision=revisions[0])


@router.get("/identity")
async def identity(session: Session) -> Identity:
    """Tell which database answers, read from the server by each request."""
    row = (await session.execute(_IDENTITY, {"marker": _MARKER})).one()
    return Identity(system_identifier=row[0], database=row[1], database_oid=row[2], marker=row[3])


@router.get("/summary")
async def state_summary(
    sessions: SessionMaker, cache: AppSummaryCache, settings: AppSettings, response: Response
) -> StateSummary:
    """Count everything. The answer is cached, also while the database is away."""

    async def load() -> StateSummary:
        async with sessions() as session:
            return await summary.load(session)

    found, age = await cache.get(load)
    response.headers["Age"] = str(age)
    response.headers["Cache-Control"] = f"max-age={int(settings.summary_seconds)}"
    return found
