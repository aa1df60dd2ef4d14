"""A server that is asked how far work is, in the words of this API and of the peers'. It ends with its parent.

``python -m dev.benchmarks.servers.polls --polls 10`` prints its address, and counts what it is asked until its standard
input ends. Work ends after so many polls, or so many seconds after it was first asked for or started.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import re
import socket
import ssl
import sys
import time
from dataclasses import dataclass, field
from typing import Any

from dev.benchmarks.servers import answers

#: Connections that may wait to be accepted: thousands of triggers start at once.
BACKLOG = 8192

_POLLS = [
    (re.compile(rb"^/api/v1/builds/(\d+)$"), answers.build),
    (re.compile(rb"^/api/v2/accounts/\d+/runs/(\d+)/$"), answers.dbt_run),
    (re.compile(rb"^/jobs/(\d+)$"), answers.airbyte_job),
]
_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@dataclass
class Work:
    """A piece of work that is asked about."""

    started: float = field(default_factory=time.time)
    polls: int = 0


class State:
    """What has been asked.

    :param polls: after so many polls a piece of work has ended; 0: by the clock.
    :param seconds: after so many seconds it has ended.
    """

    def __init__(self, polls: int, seconds: float) -> None:
        self._polls = polls
        self._seconds = seconds
        self._numbers = itertools.count(1_000_000)
        self._work: dict[int, Work] = {}
        self.counts = {"connections": 0, "open": 0, "most_open": 0, "requests": 0, "polls": 0, "logins": 0, "posts": 0}

    def opened(self) -> None:
        """Count a connection."""
        self.counts["connections"] += 1
        self.counts["open"] += 1
        self.counts["most_open"] = max(self.counts["most_open"], self.counts["open"])

    def answer(self, method: bytes, path: bytes, body: bytes) -> bytes:
        """Return the whole answer to a request."""
        self.counts["requests"] += 1
        if method == b"POST":
            return self._post(path)
        resource = path.partition(b"?")[0]
        for pattern, read in _POLLS:
            match = pattern.match(resource)
            if match:
                return self._look(int(match[1]), read)
        if resource == b"/api/2.2/jobs/runs/get":
            return self._look(int(json.loads(body)["run_id"]), answers.databricks_run)
        return answers.encode(404, {"message": "Page not found"})

    def _post(self, path: bytes) -> bytes:
        if path == b"/authentication":
            self.counts["logins"] += 1
            return answers.encode(201, answers.login())
        self.counts["posts"] += 1
        number = next(self._numbers)
        work = self._work[number] = Work()
        if path == b"/api/v1/builds":
            return answers.encode(201, {"build": {"id": number, "status": "BUILDING"}, "warnings": []})
        return answers.encode(200, answers.dbt_run(number, share=0.0, started=work.started))

    def _look(self, number: int, read: Any) -> bytes:
        self.counts["polls"] += 1
        work = self._work.setdefault(number, Work())
        work.polls += 1
        share = work.polls / self._polls if self._polls else (time.time() - work.started) / self._seconds
        return answers.encode(200, read(number, share=share, started=work.started))


class Connection(asyncio.Protocol):
    """One connection: requests in, answers out."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._data = b""
        self._counted = True

    def connection_made(self, transport: Any) -> None:
        """Count the connection."""
        self._transport = transport
        self._state.opened()

    def connection_lost(self, exc: Exception | None) -> None:
        """Count that it has ended."""
        self._state.counts["open"] -= self._counted

    def data_received(self, data: bytes) -> None:
        """Answer each request that is whole."""
        self._data += data
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            head = self._data[:end]
            length = _CONTENT_LENGTH.search(head)
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(self._data) < whole:
                return
            body, self._data = self._data[end + 4 : whole], self._data[whole:]
            method, path, _ = head.split(b" ", 2)
            self._transport.write(self._answer(method, path, body))

    def _answer(self, method: bytes, path: bytes, body: bytes) -> bytes:
        if path != b"/counts":
            return self._state.answer(method, path, body)
        if self._counted:
            # Whoever counts is not counted.
            self._counted = False
            self._state.counts["connections"] -= 1
            self._state.counts["open"] -= 1
        return answers.encode(200, self._state.counts)


async def serve(state: State, context: ssl.SSLContext | None) -> None:
    """Serve until standard input ends."""
    loop = asyncio.get_running_loop()
    listener = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
    server = await loop.create_server(lambda: Connection(state), sock=listener, ssl=context, backlog=BACKLOG)
    sys.stdout.write(f"{'https' if context else 'http'}://localhost:{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


def main() -> None:
    """Run a server as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m dev.benchmarks.servers.polls")
    parser.add_argument("--polls", type=int, default=0, help="work ends after so many polls (0: by the clock)")
    parser.add_argument("--seconds", type=float, default=60.0, help="work ends after so many seconds")
    parser.add_argument("--certificate", metavar="PEM", help="speak TLS with this certificate and key")
    options = parser.parse_args()
    context = None
    if options.certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(options.certificate)
    try:
        import uvloop
    except ImportError:
        asyncio.run(serve(State(options.polls, options.seconds), context))
    else:
        uvloop.run(serve(State(options.polls, options.seconds), context))


if __name__ == "__main__":
    main()
