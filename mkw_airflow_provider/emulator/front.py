"""What every request passes first: the log, the token, the faults."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from mkw_airflow_provider.emulator import tokens
from mkw_airflow_provider.emulator.connections import TRANSPORT
from mkw_airflow_provider.emulator.exchange import Exchange

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from mkw_airflow_provider.emulator.state import State

CONTROL = "/_emulator"

# Where the routes find out who calls.
CALLER = "mkw.caller"


class Front:
    """
    Logs a request, reads its token and applies a fault, if one is set for it. The control plane passes untouched.

    :param app: the API and the control plane.
    """

    def __init__(self, app: ASGIApp, state: State) -> None:
        self._app = app
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["path"] == CONTROL or scope["path"].startswith(f"{CONTROL}/"):
            if TRANSPORT in scope:
                self._state.connections.is_control(scope[TRANSPORT])
            await self._app(scope, receive, send)
            return
        task = asyncio.current_task()
        if task is not None:
            self._state.connections.busy(task)
        try:
            await self._exchange(scope, receive, send)
        except asyncio.CancelledError:
            if not self._state.connections.stopping:
                raise

    async def _exchange(self, scope: Scope, receive: Receive, send: Send) -> None:
        state = self._state
        body = await _read(receive)
        headers = dict(scope["headers"])
        caller = tokens.caller(state.store, headers.get(b"authorization", b"").decode("latin-1"))
        scope[CALLER] = caller
        entry = state.log.arrived(scope, body, caller.user["id"] if caller.user else None)
        exchange = Exchange(self._app, scope, receive, send, body=body, state=state, entry=entry)
        try:
            fault = state.faults.hit(scope["method"], scope["path"])
            if fault is not None:
                entry.fault = fault.order.action.type
                await fault.order.action.apply(exchange)
            else:
                await exchange.work()
        finally:
            entry.finish()


async def _read(receive: Receive) -> bytes:
    """The request's body."""
    pieces: list[bytes] = []
    while True:
        message = await receive()
        pieces.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(pieces)
