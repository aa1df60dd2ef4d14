"""The middleware in front of the API: request log, token and faults."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from mkw_airflow_provider.emulator.http.connections import TRANSPORT
from mkw_airflow_provider.emulator.http.exchange import HttpExchange
from mkw_airflow_provider.emulator.state import tokens

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from mkw_airflow_provider.emulator.faults.faults import Faults
    from mkw_airflow_provider.emulator.http.connections import Connections
    from mkw_airflow_provider.emulator.state.state import State

CONTROL_PATH = "/_emulator"

# The key of the scope under which routes find the caller.
CALLER = "mkw.caller"


class ApiMiddleware:
    """Log a request, find its caller and apply a fault if one hits it. Requests to the control plane pass unchanged.

    :param app: the API and the control plane.
    """

    def __init__(self, app: ASGIApp, state: State, faults: Faults, connections: Connections) -> None:
        self._app = app
        self._state = state
        self._faults = faults
        self._connections = connections

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["path"] == CONTROL_PATH or scope["path"].startswith(f"{CONTROL_PATH}/"):
            if TRANSPORT in scope:
                self._connections.mark_control(scope[TRANSPORT])
            await self._app(scope, receive, send)
            return
        task = asyncio.current_task()
        if task is not None:
            self._connections.track(task)
        try:
            await self._handle(scope, receive, send)
        except asyncio.CancelledError:
            if not self._connections.stopping:
                raise

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        state = self._state
        body = await _read_body(receive)
        headers = dict(scope["headers"])
        caller = tokens.find_caller(state.store, headers.get(b"authorization", b"").decode("latin-1"))
        scope[CALLER] = caller
        entry = state.log.add(scope, body, caller.user["id"] if caller.user else None)
        exchange = HttpExchange(
            self._app,
            scope,
            receive,
            send,
            body=body,
            connections=self._connections,
            switches=state.switches,
            entry=entry,
        )
        try:
            fault = self._faults.find(scope["method"], scope["path"])
            if fault is not None:
                entry.fault = fault.request.action.type
                await fault.request.action.apply(exchange)
            else:
                await exchange.run()
        finally:
            entry.finish()


async def _read_body(receive: Receive) -> bytes:
    """Return the request's body."""
    chunks: list[bytes] = []
    while True:
        message = await receive()
        chunks.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(chunks)
