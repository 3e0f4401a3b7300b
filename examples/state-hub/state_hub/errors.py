"""Answers to requests that fail.

A client may repeat a request that was answered with 503: nothing that is unknown here counts as
a refusal of the request.
"""

import json
import logging
from http import HTTPStatus

import asyncpg
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

log = logging.getLogger(__name__)

DATABASE_ERRORS = (
    DBAPIError,
    PoolTimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    OSError,
)

_REFUSALS = {
    "23502": HTTPStatus.UNPROCESSABLE_ENTITY,
    "23503": HTTPStatus.CONFLICT,
    "23505": HTTPStatus.CONFLICT,
    "23514": HTTPStatus.UNPROCESSABLE_ENTITY,
}
_DATA_EXCEPTION = "22"


def install(app: FastAPI, database_errors: tuple[type[Exception], ...] = DATABASE_ERRORS) -> None:
    """Let the app answer errors of the database and of bodies."""
    for kind in database_errors:
        app.add_exception_handler(kind, _database_error)
    app.add_exception_handler(RequestValidationError, _invalid_request)


def status_of(sqlstate: str | None) -> HTTPStatus:
    """Tell a request that the database refuses from a database that cannot be used now."""
    if sqlstate is None:
        return HTTPStatus.SERVICE_UNAVAILABLE
    if sqlstate.startswith(_DATA_EXCEPTION):
        return HTTPStatus.UNPROCESSABLE_ENTITY
    return _REFUSALS.get(sqlstate, HTTPStatus.SERVICE_UNAVAILABLE)


def sqlstate_of(error: Exception) -> str | None:
    """Find the SQLSTATE of an error, where the server gave one."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return getattr(cause, "sqlstate", None)


async def _database_error(request: Request, error: Exception) -> Response:
    sqlstate = sqlstate_of(error)
    status = status_of(sqlstate)
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        log.warning("%s %s: %s", request.method, request.url.path, error)
        detail = "the database cannot be used now"
        headers = {"Retry-After": "1"}
    else:
        detail = "the database refuses the request"
        headers = {}
    return _answer(status, {"detail": detail, "sqlstate": sqlstate}, headers)


async def _invalid_request(request: Request, error: Exception) -> Response:
    # The input is left out: it may hold what JSON cannot express, such as NaN.
    errors = error.errors() if isinstance(error, RequestValidationError) else []
    detail = [{"loc": each["loc"], "msg": each["msg"], "type": each["type"]} for each in errors]
    return _answer(HTTPStatus.UNPROCESSABLE_ENTITY, {"detail": detail}, {})


def _answer(status: HTTPStatus, body: dict[str, object], headers: dict[str, str]) -> Response:
    # ASCII, since the name of an unknown member may be no valid Unicode.
    return Response(json.dumps(body), status, headers, media_type="application/json")
