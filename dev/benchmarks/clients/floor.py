"""The floor: the least that waiting for builds costs in Python, with asyncio's streams and nothing else.

Ten persistent connections, the smallest request that the server understands, the status read from the JSON of the
response. No retry, no timeout, no token, no log, no Airflow connection.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import aiohttp

POOL = 10


class Pool:
    """Connections to one server.

    :param url: its address.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname, parts.port)
        self._context = ssl.create_default_context() if parts.scheme == "https" else None
        self._free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._turns = asyncio.Semaphore(POOL)

    async def get(self, path: str) -> Any:
        """Return the JSON of a path."""
        async with self._turns:
            if not self._free:
                self._free.append(await asyncio.open_connection(*self._address, ssl=self._context))
            connection = self._free.pop()
            reader, writer = connection
            writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            body = await reader.readexactly(length)
            self._free.append(connection)
        return json.loads(body)

    async def close(self) -> None:
        """Close the connections."""
        for _, writer in self._free:
            writer.close()


class AiohttpPool:
    """The same on aiohttp: what any client of it pays.

    :param url: the server's address.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._session: aiohttp.ClientSession | None = None

    async def get(self, path: str) -> Any:
        """Return the JSON of a path."""
        if self._session is None:
            # It belongs to the running event loop.
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=POOL, keepalive_timeout=55.0))
        async with self._session.get(self._url + path) as response:
            return json.loads(await response.read())

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()


#: The same as a trigger of Airflow: what any trigger pays for Airflow's modules in memory and the portal around it.
AS_TRIGGER = "bare aiohttp as a trigger"
#: What waits for builds without a provider.
POOLS: dict[str, Callable[[str], Any]] = {"floor": Pool, "bare aiohttp": AiohttpPool, AS_TRIGGER: AiohttpPool}


async def wait(pool: Any, number: int, interval: float) -> bool:
    """Poll a build until it has ended; return whether it finished."""
    while True:
        build = await pool.get(f"/api/v1/builds/{number}")
        if build["status"] != "BUILDING":
            return bool(build["status"] == "FINISHED")
        await asyncio.sleep(interval)
