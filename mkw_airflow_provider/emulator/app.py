"""The application: the API, the control plane beside it, and the answers to whatever goes wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Match, Route

from mkw_airflow_provider.emulator import errors
from mkw_airflow_provider.emulator.errors import ApiError
from mkw_airflow_provider.emulator.front import CONTROL, Front
from mkw_airflow_provider.emulator.openapi import describe
from mkw_airflow_provider.emulator.routes import (
    authentication,
    build_deployments,
    builds,
    catalogue,
    control,
    downloads,
    not_implemented,
)
from mkw_airflow_provider.emulator.routes.common import known_query

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from mkw_airflow_provider.emulator.state import State

DESCRIPTION = """A local MetaKraftwerk, for demos and tests. Log in with `POST /authentication` and send the token with
every other request. Builds progress by the clock. What the API's documentation leaves open is a switch."""


def create_app(state: State) -> ASGIApp:
    """
    The ASGI application of an emulator.

    :param state: all that it knows.
    """
    return Front(create_api(state), state)


def create_api(state: State) -> FastAPI:
    """
    The API and the control plane, without log, tokens and faults.

    :param state: all that it knows.
    """
    api = FastAPI(title="MetaKraftwerk emulator", version="1", description=DESCRIPTION, docs_url=None, redoc_url=None)
    api.state.emulator = state
    api.include_router(authentication.router)
    for subject in (builds, build_deployments, downloads, catalogue):
        api.include_router(subject.router, prefix="/api/v1", dependencies=[Depends(known_query)])
    api.include_router(not_implemented.router, prefix="/api/v1")
    api.include_router(downloads.files_router)
    api.openapi = lambda: describe(api)  # type: ignore[method-assign]
    api.add_exception_handler(Exception, _broken)
    _handle_errors(api, _api_error)

    plane = FastAPI(title="MetaKraftwerk emulator: control", version="1", docs_url=None, redoc_url=None)
    plane.state.emulator = state
    plane.include_router(control.router)
    _handle_errors(plane, _control_error)
    api.mount(CONTROL, plane)
    return api


def _handle_errors(app: FastAPI, handler: Any) -> None:
    for kind in (ApiError, HTTPException, RequestValidationError):
        app.add_exception_handler(kind, handler)


async def _api_error(request: Request, error: Exception) -> Response:
    status, message, headers = _explain(error)
    if status == 405 and isinstance(error, HTTPException):
        headers = {"allow": ", ".join(_methods(request))}
    style = request.app.state.emulator.switches.error_body
    return errors.answer(status, message, style, headers)


async def _control_error(request: Request, error: Exception) -> Response:
    status, message, _ = _explain(error)
    return JSONResponse({"message": message}, status)


async def _broken(request: Request, error: Exception) -> Response:
    """A fault of the emulator itself: the traceback goes to the server's log, the class to the client."""
    return errors.answer(500, f"The emulator failed: {type(error).__name__}", "feathers5")


def _methods(request: Request) -> list[str]:
    """What a path allows; Starlette names the methods of its first route alone."""
    routes = [route for route in request.app.routes if isinstance(route, Route) and route.include_in_schema]
    fitting = [route for route in routes if route.matches(request.scope)[0] is not Match.NONE]
    return sorted({method for route in fitting for method in route.methods or ()})


def _explain(error: Exception) -> tuple[int, str, dict[str, str] | None]:
    """Status, message and headers of an error."""
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
    """The first problem of a request. What the client sent is not repeated: it may be a secret."""
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
