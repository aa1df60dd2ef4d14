"""An emulator that also has the APIs of dbt Cloud, Databricks and Airbyte: their jobs are its builds.

The same faults act on all of them, because they come before everything else. Start one with
``python -m dev.benchmarks.faults.server``.
"""

from __future__ import annotations

import argparse
import json
import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from dev.benchmarks.faults import services
from mkw_airflow_provider.emulator.api.app import create_api
from mkw_airflow_provider.emulator.api.middleware import ApiMiddleware
from mkw_airflow_provider.emulator.faults.faults import Faults
from mkw_airflow_provider.emulator.http.connections import Connections
from mkw_airflow_provider.emulator.http.lifecycle import Server
from mkw_airflow_provider.emulator.state import builds, lookups
from mkw_airflow_provider.emulator.state.errors import ApiError
from mkw_airflow_provider.emulator.state.state import State

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

BACKLOG = 128


def create_app(state: State, faults: Faults, connections: Connections) -> ASGIApp:
    """Return the emulator's application with the paths of the other services before its own.

    :param state: the emulator's database and switches.
    :param faults: the faults that hit requests.
    :param connections: the clients' connections.
    """
    routes = [
        Route(services.DBT_START, _start_route(state, services.dbt_started), methods=["POST"]),
        Route(services.DBT_POLL, _poll_route(state, services.dbt_run)),
        Route(services.DATABRICKS_START, _start_route(state, services.databricks_started), methods=["POST"]),
        Route(services.DATABRICKS_POLL, _poll_route(state, services.databricks_run)),
        Route(services.AIRBYTE_START, _start_route(state, services.airbyte_job), methods=["POST"]),
        Route(services.AIRBYTE_POLL, _poll_route(state, services.airbyte_job)),
        Mount("/", create_api(state, faults, connections)),
    ]
    return RunInPath(ApiMiddleware(Starlette(routes=routes), state, faults, connections))


def _start_route(state: State, answer: Any) -> Any:
    async def start(request: Request) -> Response:
        user = state.store.find("users", name="demo")[0]
        project = state.store.find("projects", name="DEMO_PROJECT")[0]
        instance = state.store.find("instances", project_id=project["id"], name="AIRPLANE")[0]
        build, _ = builds.start(state, builds.BuildRequest(user=user, project_id=project["id"], instances=[instance]))
        return JSONResponse(answer(build["id"], builds.status(build)))

    return start


def _poll_route(state: State, answer: Any) -> Any:
    async def poll(request: Request) -> Response:
        try:
            build = lookups.by_id(state, "builds", int(request.path_params["run"]))
        except ApiError as error:
            return JSONResponse({"message": error.message}, error.status)
        return JSONResponse(answer(build["id"], builds.status(build)))

    return poll


class RunInPath:
    """Moves the run id of Databricks' client into the path, so that a fault can hit a single run.

    Its hook sends the id in the query, its trigger in the body of the GET.

    :param app: serves the request.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["path"] != services.DATABRICKS_POLL_SENT:
            await self._app(scope, receive, send)
            return
        chunks: list[bytes] = []
        more = True
        while more:
            message = await receive()
            chunks.append(message.get("body", b""))
            more = message.get("more_body", False)
        body = b"".join(chunks)
        run = dict(parse_qsl(scope["query_string"].decode())).get("run_id") or json.loads(body)["run_id"]
        path = services.DATABRICKS_POLL.format(run=run)
        unread = True

        async def again() -> Message:
            nonlocal unread
            if unread:
                unread = False
                return {"type": "http.request", "body": body, "more_body": False}
            return await receive()

        await self._app({**scope, "path": path, "raw_path": path.encode()}, again, send)


def main() -> None:
    """Serve until the process ends."""
    parser = argparse.ArgumentParser(prog="python -m dev.benchmarks.faults.server", description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="port on 127.0.0.1")
    parser.add_argument("--database", required=True, help="file that keeps the state")
    parser.add_argument("--certificate", required=True, help="PEM file with certificate and key")
    options = parser.parse_args()
    state, connections = State(options.database, {}), Connections()
    server = Server(create_app(state, Faults(), connections), connections, tls=(options.certificate, None))
    server.run(sockets=[socket.create_server(("127.0.0.1", options.port), backlog=BACKLOG)])


if __name__ == "__main__":
    main()
