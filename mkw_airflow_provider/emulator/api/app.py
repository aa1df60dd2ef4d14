"""The application: the API, the control plane, and their error responses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Match, Route

from mkw_airflow_provider.emulator.api import (
    authentication,
    build_deployments,
    builds,
    catalog,
    control_plane,
    downloads,
    metadata,
    not_implemented,
)
from mkw_airflow_provider.emulator.api.common import reject_unknown_query
from mkw_airflow_provider.emulator.api.middleware import CONTROL_PATH, ApiMiddleware
from mkw_airflow_provider.emulator.api.openapi import describe
from mkw_airflow_provider.emulator.api.sender import refuse_foreign_sender
from mkw_airflow_provider.emulator.http.error_response import error_response
from mkw_airflow_provider.emulator.state import errors
from mkw_airflow_provider.emulator.state.errors import ApiError

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from mkw_airflow_provider.emulator.faults.faults import Faults
    from mkw_airflow_provider.emulator.http.connections import Connections
    from mkw_airflow_provider.emulator.state.state import State

DESCRIPTION = """A local MetaKraftwerk, for demos and tests. Log in with `POST /authentication` and send the token with
every other request. Builds progress with the clock. What the API's documentation leaves open is a switch."""


def create_app(state: State, faults: Faults, connections: Connections, host: str = "127.0.0.1") -> ASGIApp:
    """Return the ASGI application of an emulator.

    :param state: the database, switches and request log.
    :param faults: the faults to apply, steered by the control plane.
    :param connections: the clients' connections, reported by the control plane.
    :param host: the name or address under which the emulator listens.
    """
    return ApiMiddleware(create_api(state, faults, connections, host), state, faults, connections)


def create_api(state: State, faults: Faults, connections: Connections, host: str = "127.0.0.1") -> FastAPI:
    """Return the API and the control plane without the middleware, see :func:`create_app`."""
    api = FastAPI(title="MetaKraftwerk emulator", version="1", description=DESCRIPTION, docs_url=None, redoc_url=None)
    api.state.emulator = state
    api.include_router(authentication.router)
    for resource in (builds, build_deployments, downloads, catalog, metadata):
        api.include_router(resource.router, prefix="/api/v1", dependencies=[Depends(reject_unknown_query)])
    api.include_router(not_implemented.router, prefix="/api/v1")
    api.include_router(downloads.files_router)
    api.openapi = lambda: describe(api)  # type: ignore[method-assign]
    api.add_exception_handler(Exception, _internal_error)
    _handle_errors(api, _api_error)

    plane = FastAPI(
        title="MetaKraftwerk emulator: control",
        version="1",
        docs_url=None,
        redoc_url=None,
        dependencies=[Depends(refuse_foreign_sender)],
    )
    plane.state.host = host.lower()
    plane.state.emulator, plane.state.faults, plane.state.connections = state, faults, connections
    plane.include_router(control_plane.router)
    _handle_errors(plane, _control_error)
    api.mount(CONTROL_PATH, plane)
    return api


def _handle_errors(app: FastAPI, handler: Any) -> None:
    for kind in (ApiError, HTTPException, RequestValidationError):
        app.add_exception_handler(kind, handler)


async def _api_error(request: Request, error: Exception) -> Response:
    status, message, headers = _explain(error)
    if status == 405 and isinstance(error, HTTPException):
        headers = {"allow": ", ".join(_allowed_methods(request))}
    style = request.app.state.emulator.switches.error_body
    return error_response(status, message, style, headers)


async def _control_error(request: Request, error: Exception) -> Response:
    status, message, _ = _explain(error)
    return JSONResponse({"message": message}, status)


async def _internal_error(request: Request, error: Exception) -> Response:
    """Report a bug of the emulator: the traceback goes to the server's log, the class to the client."""
    return error_response(500, f"The emulator failed: {type(error).__name__}", "feathers5")


def _allowed_methods(request: Request) -> list[str]:
    """Return the methods that a path allows; Starlette names only those of the first route."""
    routes = [route for route in request.app.routes if isinstance(route, Route) and route.include_in_schema]
    matching = [route for route in routes if route.matches(request.scope)[0] is not Match.NONE]
    return sorted({method for route in matching for method in route.methods or ()})


def _explain(error: Exception) -> tuple[int, str, dict[str, str] | None]:
    """Return status, message and headers of an error."""
    if isinstance(error, ApiError):
        return error.status, error.message, error.headers
    if isinstance(error, RequestValidationError):
        return _explain_validation(error.errors()[0])
    if isinstance(error, HTTPException):
        headers = dict(error.headers) if error.headers else None
        message = errors.PAGE_NOT_FOUND if error.status_code == 404 else str(error.detail)
        return error.status_code, message, headers
    raise error


def _explain_validation(problem: dict[str, Any]) -> tuple[int, str, dict[str, str] | None]:
    """Explain the first problem of a request. The client's values are not quoted: they may be secrets."""
    where, *inside = problem["loc"]
    if where == "path":
        return 404, errors.no_record(problem["input"]), None
    if problem["type"] == "json_invalid" or not inside:
        text = problem["msg"].removeprefix("Value error, ")
        return 400, text if problem["type"] == "value_error" else "The body must be a JSON object", None
    name = ".".join(str(part) for part in inside)
    if problem["type"] == "extra_forbidden":
        return 400, f"Unknown field '{name}'", None
    return 400, f"'{name}': {problem['msg'].removeprefix('Value error, ')}", None
