"""Both transports, run in the same way: a user of the API over requests, and over aiohttp."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from mkw_airflow_provider.client.flows import ApiSession, Flow, Sleep
from mkw_airflow_provider.client.request import Request
from mkw_airflow_provider.client.settings import Settings
from mkw_airflow_provider.client.token_cache import TokenCache
from mkw_airflow_provider.client.transports.aio import AsyncClient, shared_client
from mkw_airflow_provider.client.transports.sync import Client
from tests.kit.clock import Clock
from tests.kit.driver import do_some

AGENT = "mkw-airflow-provider/0 apache-airflow/0"


class OverRequests:
    """The transport of a worker: each flow runs in the thread that calls."""

    name = "requests"

    def __init__(self) -> None:
        self.masked: list[str] = []
        self._clients: dict[Settings, Client] = {}

    def run(self, settings: Settings, flow: Flow[Any]) -> Any:
        if settings not in self._clients:
            self._clients[settings] = Client(settings, AGENT, self.masked.append)
        return self._clients[settings].run(flow)

    def run_all(self, settings: Settings, flows: Sequence[Flow[Any]]) -> list[Any]:
        with ThreadPoolExecutor(len(flows)) as threads:
            futures = [threads.submit(self.run, settings, flow) for flow in flows]
        return [future.exception() or future.result() for future in futures]

    def close(self) -> None:
        for client in self._clients.values():
            client.close()


class OverAiohttp:
    """The transport of a triggerer: each flow runs as a task of one event loop, which never rests meanwhile."""

    name = "aiohttp"

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.masked: list[str] = []
        self._loop = loop
        self._lent = contextlib.AsyncExitStack()
        self._clients: dict[Settings, AsyncClient] = {}

    def do(self, step: Any) -> Any:
        """Await something on the event loop."""
        return asyncio.run_coroutine_threadsafe(step, self._loop).result(120)

    async def mask(self, secret: str) -> None:
        self.masked.append(secret)

    async def _run(self, settings: Settings, flow: Flow[Any]) -> Any:
        if settings not in self._clients:
            client = await self._lent.enter_async_context(shared_client(settings, AGENT, self.mask))
            self._clients.setdefault(settings, client)
        return await self._clients[settings].run(flow)

    def run(self, settings: Settings, flow: Flow[Any]) -> Any:
        return self.do(self._run(settings, flow))

    def run_all(self, settings: Settings, flows: Sequence[Flow[Any]]) -> list[Any]:
        async def together() -> list[Any]:
            return await asyncio.gather(*(self._run(settings, flow) for flow in flows), return_exceptions=True)

        return self.do(together())

    def close(self) -> None:
        self.do(self._lent.aclose())


class Log:
    """What a conversation logs, as lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def _write(self, text: str, *arguments: Any) -> None:
        self.lines.append(text % arguments)

    debug = info = warning = _write


@dataclass
class Api:
    """A user at a server, through one transport."""

    settings: Settings
    transport: OverRequests | OverAiohttp
    clock: Clock

    def __post_init__(self) -> None:
        self.log = Log()
        # Chance 0: each pause between attempts is half a second, unless the server requests more.
        self.session = ApiSession(
            self.settings,
            TokenCache(),
            monotonic=self.clock.monotonic,
            wall=self.clock.wall,
            random=lambda: 0.0,
            log=self.log,
        )

    def run(self, flow: Flow[Any]) -> Any:
        return self.transport.run(self.settings, do_some(flow, self._sleep))

    def call(self, call: Request[Any]) -> Any:
        return self.run(self.session.request(call))

    def call_all(self, calls: Sequence[Request[Any]]) -> list[Any]:
        """The outcomes of calls that are made at the same time: values or exceptions."""
        flows = [do_some(self.session.request(call), self._sleep) for call in calls]
        return self.transport.run_all(self.settings, flows)

    def _sleep(self, step: Any) -> Any:
        """Let a pause pass on the clock; all other steps are left to the transport."""
        return self.clock.sleep(step.seconds) if isinstance(step, Sleep) else NotImplemented
