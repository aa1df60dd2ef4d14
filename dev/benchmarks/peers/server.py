"""An emulator that also answers in the words of dbt Cloud, Databricks and Airbyte: their jobs are its builds.

The same faults act on all of them, because they come before everything else. Start one with
``python -m dev.benchmarks.peers.server``.
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

from dev.benchmarks.peers import words
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
    """Return the emulator's application with the peers' paths before its own.

    :param state: the emulator's database and switches.
    :param faults: the faults that hit requests.
    :param connections: the clients' connections.
    """
    routes = [
        Route(words.DBT_START, _starting(state, words.dbt_started), methods=["POST"]),
        Route(words.DBT_LOOK, _looking(state, words.dbt_run)),
        Route(words.DATABRICKS_START, _starting(state, words.databricks_started), methods=["POST"]),
        Route(words.DATABRICKS_LOOK, _looking(state, words.databricks_run)),
        Route(words.AIRBYTE_START, _starting(state, words.airbyte_job), methods=["POST"]),
        Route(words.AIRBYTE_LOOK, _looking(state, words.airbyte_job)),
        Mount("/", create_api(state, faults, connections)),
    ]
    return RunInPath(ApiMiddleware(Starlette(routes=routes), state, faults, connections))


def _starting(state: State, answer: Any) -> Any:
    async def start(request: Request) -> Response:
        user = state.store.find("users", name="demo")[0]
        project = state.store.find("projects", name="DEMO_PROJECT")[0]
        instance = state.store.find("instances", project_id=project["id"], name="AIRPLANE")[0]
        build, _ = builds.start(state, builds.BuildRequest(user=user, project_id=project["id"], instances=[instance]))
        return JSONResponse(answer(build["id"], builds.status(build)))

    return start


def _looking(state: State, answer: Any) -> Any:
    async def look(request: Request) -> Response:
        try:
            build = lookups.by_id(state, "builds", int(request.path_params["run"]))
        except ApiError as error:
            return JSONResponse({"message": error.message}, error.status)
        return JSONResponse(answer(build["id"], builds.status(build)))

    return look


class RunInPath:
    """Puts the run that Databricks' client asks for into the path, where a fault can tell runs apart.

    Its hook names the run in the query, and its trigger in the body of the GET.

    :param app: serves the request.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["path"] != words.DATABRICKS_LOOK_SENT:
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
        path = words.DATABRICKS_LOOK.format(run=run)
        unread = True

        async def again() -> Message:
            nonlocal unread
            if unread:
                unread = False
                return {"type": "http.request", "body": body, "more_body": False}
            return await receive()

        await self._app({**scope, "path": path, "raw_path": path.encode()}, again, send)


def main() -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser(prog="python -m dev.benchmarks.peers.server", description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="port on 127.0.0.1")
    parser.add_argument("--database", required=True, help="file that keeps the state")
    parser.add_argument("--certificate", required=True, help="PEM file with certificate and key")
    options = parser.parse_args()
    state, connections = State(options.database, {}), Connections()
    server = Server(create_app(state, Faults(), connections), connections, tls=(options.certificate, None))
    server.run(sockets=[socket.create_server(("127.0.0.1", options.port), backlog=BACKLOG)])


if __name__ == "__main__":
    main()
