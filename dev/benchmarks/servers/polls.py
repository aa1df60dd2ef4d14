"""A server for polls, with the API of MetaKraftwerk and those of other providers. It ends with its parent.

``python -m dev.benchmarks.servers.polls --polls 10`` prints its address and counts requests until its standard input
ends. A job ends after a number of polls, or a number of seconds after it was started or first polled.
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

#: Connections that may wait to be accepted: thousands of triggers start at the same time.
BACKLOG = 8192

_POLLS = [
    (re.compile(rb"^/api/v1/builds/(\d+)$"), answers.build),
    (re.compile(rb"^/api/v2/accounts/\d+/runs/(\d+)/$"), answers.dbt_run),
    (re.compile(rb"^/jobs/(\d+)$"), answers.airbyte_job),
]
_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@dataclass
class Job:
    """A job that clients wait for."""

    started: float = field(default_factory=time.time)
    polls: int = 0
    seconds: float = 0.0
    #: When the first response said that it has ended.
    noticed: float | None = None


class State:
    """The jobs and the counts of requests.

    :param polls: number of polls after which a job ends; 0: by the clock.
    :param seconds: number of seconds after which it ends.
    :param spread: jobs that were started take up to this many seconds longer, evenly spread.
    """

    def __init__(self, polls: int, seconds: float, spread: float = 0.0) -> None:
        self._polls = polls
        self._seconds = seconds
        self._spread = spread
        self._numbers = itertools.count(1_000_000)
        self._jobs: dict[int, Job] = {}
        self.counts = {"connections": 0, "open": 0, "most_open": 0, "requests": 0, "polls": 0, "logins": 0, "posts": 0}

    def opened(self) -> None:
        """Count a connection."""
        self.counts["connections"] += 1
        self.counts["open"] += 1
        self.counts["most_open"] = max(self.counts["most_open"], self.counts["open"])

    def respond(self, method: bytes, path: bytes, body: bytes) -> bytes:
        """Return the complete response to a request."""
        self.counts["requests"] += 1
        if method == b"POST":
            return self._post(path)
        resource = path.partition(b"?")[0]
        for pattern, read in _POLLS:
            match = pattern.match(resource)
            if match:
                return self._poll(int(match[1]), read)
        if resource == b"/api/2.2/jobs/runs/get":
            return self._poll(int(json.loads(body)["run_id"]), answers.databricks_run)
        return answers.encode(404, {"message": "Page not found"})

    def ends(self) -> dict[str, tuple[float, float | None]]:
        """Return when each job ends or has ended, and when a response said so, in epoch seconds."""
        return {str(number): (job.started + job.seconds, job.noticed) for number, job in self._jobs.items()}

    def _post(self, path: bytes) -> bytes:
        if path == b"/authentication":
            self.counts["logins"] += 1
            return answers.encode(201, answers.login())
        self.counts["posts"] += 1
        number = next(self._numbers)
        # Multiples of the golden ratio: any number of successive jobs is spread evenly.
        job = self._jobs[number] = Job(seconds=self._seconds + self._spread * (number * 0.618034 % 1))
        if path == b"/api/v1/builds":
            return answers.encode(201, {"build": {"id": number, "status": "BUILDING"}, "warnings": []})
        return answers.encode(200, answers.dbt_run(number, share=0.0, started=job.started))

    def _poll(self, number: int, read: Any) -> bytes:
        self.counts["polls"] += 1
        job = self._jobs.setdefault(number, Job(seconds=self._seconds))
        job.polls += 1
        share = job.polls / self._polls if self._polls else (time.time() - job.started) / job.seconds
        if share >= 1 and job.noticed is None:
            job.noticed = time.time()
        return answers.encode(200, read(number, share=share, started=job.started))


class Connection(asyncio.Protocol):
    """One connection: reads requests and writes responses."""

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
        """Respond to each complete request."""
        self._data += data
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            head = self._data[:end]
            length = _CONTENT_LENGTH.search(head)
            complete = end + 4 + (int(length[1]) if length else 0)
            if len(self._data) < complete:
                return
            body, self._data = self._data[end + 4 : complete], self._data[complete:]
            method, path, _ = head.split(b" ", 2)
            self._transport.write(self._respond(method, path, body))

    def _respond(self, method: bytes, path: bytes, body: bytes) -> bytes:
        if path == b"/ends":
            return answers.encode(200, self._state.ends())
        if path != b"/counts":
            return self._state.respond(method, path, body)
        if self._counted:
            # The connection that reads the counts is not counted.
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
    """Run a server with the options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m dev.benchmarks.servers.polls")
    parser.add_argument("--polls", type=int, default=0, help="number of polls after which a job ends (0: by the clock)")
    parser.add_argument("--seconds", type=float, default=60.0, help="number of seconds after which a job ends")
    parser.add_argument("--spread", type=float, default=0.0, help="jobs take up to this many seconds longer")
    parser.add_argument("--certificate", metavar="PEM", help="use TLS with this certificate and key")
    options = parser.parse_args()
    context = None
    if options.certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(options.certificate)
    try:
        # Faster, if it is installed.
        import uvloop
    except ImportError:
        asyncio.run(serve(State(options.polls, options.seconds, options.spread), context))
    else:
        uvloop.run(serve(State(options.polls, options.seconds, options.spread), context))


if __name__ == "__main__":
    main()
