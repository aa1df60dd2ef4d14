"""The pages as a FastAPI application: routes, access and headers. Only the API server loads it."""

from __future__ import annotations

import logging
from importlib.resources import files
from typing import Annotated, Any
from urllib.parse import quote

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import ConnectionDetails, DagAccessEntity
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_connection, requires_access_dag
from fastapi import Depends, FastAPI, HTTPException, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException as AnyHTTPException

from mkw_airflow_provider.get_provider_info import CONNECTION_TYPE
from mkw_airflow_provider.plugin import airflow_models
from mkw_airflow_provider.plugin.airflow_models import TaskKey
from mkw_airflow_provider.plugin.build_of_task import DEFAULT_CONNECTION
from mkw_airflow_provider.plugin.feed import feed_of
from mkw_airflow_provider.plugin.headers import HEADERS, SafeHeaders
from mkw_airflow_provider.plugin.owners import Owners
from mkw_airflow_provider.plugin.page import STATUSES, Filters, page_data
from mkw_airflow_provider.plugin.tab import tab_data
from mkw_airflow_provider.plugin.templates import render

log = logging.getLogger(__name__)

TAB = "/tab/{dag_id}/{run_id}/{task_id}/{map_index}"
BUILDS = "/builds/{connection_id}"
STATIC = {"pages.css": "text/css; charset=utf-8", "pages.js": "text/javascript; charset=utf-8"}
#: What a page says instead of an error of the API.
SENTENCES = {
    401: "You are not logged in to Airflow, or your session has ended. Log in and reload the page.",
    403: "You do not have the permission to see this. Ask an administrator of Airflow.",
    404: "This does not exist in Airflow.",
}

MAY_READ_TASK = [Depends(requires_access_dag("GET", DagAccessEntity.TASK_INSTANCE))]
MAY_READ_CONNECTION = [Depends(requires_access_connection("GET"))]


def _filters(
    project: Annotated[str, Query(max_length=20)] = "",
    status: Annotated[str, Query(max_length=20)] = "",
    owner: Annotated[str, Query(max_length=300)] = "",
    page: Annotated[str, Query(max_length=10)] = "",
) -> Filters:
    """Return what a form sends; what makes no sense counts as not given."""
    return Filters(
        project=int(project) if project.isdecimal() else None,
        status=status if status in STATUSES else "",
        owner=owner,
        page=int(page) if page.isdecimal() else 1,
    )


FiltersDep = Annotated[Filters, Depends(_filters)]


def make_app() -> FastAPI:
    """Return the application. All routes only read, and each checks Airflow's login and permission."""
    # The description of the API would be public.
    app = FastAPI(title="MetaKraftwerk", openapi_url=None, docs_url=None, redoc_url=None)
    app.add_middleware(SafeHeaders)
    app.add_exception_handler(AnyHTTPException, _problem)
    app.add_exception_handler(Exception, _failure)
    app.get(TAB, dependencies=MAY_READ_TASK)(show_tab)
    app.get(f"{TAB}/state", dependencies=MAY_READ_TASK)(show_tab_state)
    app.get("/builds", dependencies=MAY_READ_CONNECTION)(choose_connection)
    app.get(BUILDS, dependencies=MAY_READ_CONNECTION)(show_builds)
    app.get(f"{BUILDS}/state", dependencies=MAY_READ_CONNECTION)(show_builds_state)
    app.get("/static/{name}")(send_static)
    return app


def show_tab(
    request: Request, user: GetUserDep, dag_id: str, run_id: str, task_id: str, map_index: str
) -> HTMLResponse:
    """Show the build of a task instance."""
    return _render(request, "tab.html", _tab(request, user, dag_id, run_id, task_id, map_index))


def show_tab_state(
    request: Request, user: GetUserDep, dag_id: str, run_id: str, task_id: str, map_index: str
) -> HTMLResponse:
    """Return the part of the tab that changes."""
    return _render(request, "tab_state.html", _tab(request, user, dag_id, run_id, task_id, map_index))


def _tab(request: Request, user: Any, dag_id: str, run_id: str, task_id: str, map_index: str) -> dict[str, Any]:
    # The placeholder of a task that is not mapped stays as it is.
    index = int(map_index) if map_index.isdecimal() else -1
    task = TaskKey(dag_id, run_id, task_id, index)
    # Airflow lets everyone read a DAG that does not exist.
    if airflow_models.read_state(task) is None:
        raise HTTPException(404, "There is no such task instance")
    return {"data": tab_data(task, _owners(request, user))}


def choose_connection(request: Request, user: GetUserDep) -> RedirectResponse:
    """Go to the builds of the first connection."""
    readable = _connections(user)
    return RedirectResponse(f"{_root(request)}/builds/{quote(readable[0], safe='')}", status_code=307)


def show_builds(request: Request, user: GetUserDep, connection_id: str, filters: FiltersDep) -> HTMLResponse:
    """Show the builds of a project."""
    return _render(request, "builds.html", _builds(request, user, connection_id, filters))


def show_builds_state(request: Request, user: GetUserDep, connection_id: str, filters: FiltersDep) -> HTMLResponse:
    """Return the part of the page that changes."""
    return _render(request, "builds_state.html", _builds(request, user, connection_id, filters))


def _builds(request: Request, user: Any, connection_id: str, filters: Filters) -> dict[str, Any]:
    readable = _connections(user)
    if connection_id not in readable:
        raise HTTPException(404, "There is no such connection of type MetaKraftwerk")
    data = page_data(feed_of(connection_id), filters, _owners(request, user))
    return {"data": data, "connections": readable, "connection": connection_id}


def send_static(name: str, user: GetUserDep) -> Response:
    """Send the script or the style sheet."""
    if name not in STATIC:
        raise HTTPException(404, "There is no such file")
    return Response((files(__package__) / "static" / name).read_bytes(), media_type=STATIC[name])


def _connections(user: Any) -> list[str]:
    """Return the connections of this type that a user may read: those of the database, and the default one."""
    found = list(dict.fromkeys([*airflow_models.find_connections(CONNECTION_TYPE), DEFAULT_CONNECTION]))
    manager = get_auth_manager()
    readable = [
        name
        for name in found
        if manager.is_authorized_connection(method="GET", details=ConnectionDetails(conn_id=name), user=user)
    ]
    if not readable:
        raise HTTPException(403, "You may not read any connection of type MetaKraftwerk")
    return readable


def _owners(request: Request, user: Any) -> Owners:
    base = _root(request).rpartition("/")[0]
    return Owners(base, get_auth_manager().get_authorized_dag_ids(user=user, method="GET"))


def _root(request: Request) -> str:
    """Return the path of these pages, with the prefix under which Airflow runs."""
    return str(request.scope.get("root_path", "")).rstrip("/")


def _render(request: Request, name: str, values: dict[str, Any], status: int = 200) -> HTMLResponse:
    return HTMLResponse(render(name, root=_root(request), **values), status_code=status)


def _problem(request: Request, error: Any) -> HTMLResponse:
    """Show a sentence instead of a page that the user may not see or that does not exist."""
    sentence = SENTENCES.get(error.status_code, f"This request cannot be answered (status {error.status_code}).")
    response = _render(request, "problem.html", {"sentence": sentence}, error.status_code)
    # Airflow deletes a cookie that is not valid any more.
    response.headers.update(getattr(error, "headers", None) or {})
    return response


def _failure(request: Request, error: Exception) -> HTMLResponse:
    """Show a sentence instead of a trace."""
    log.error("A page could not be made: %s", type(error).__name__)
    sentence = "This page cannot be shown because of an internal error; the log of the API server names it."
    response = _render(request, "problem.html", {"sentence": sentence}, 500)
    # This response passes no middleware of the application.
    response.headers.update(HEADERS)
    return response
