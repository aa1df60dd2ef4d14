"""What can happen to a night, and at which of its steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

STEPS = ("start_build", "wait_for_build", "download_build", "deploy_build")
#: When the run is over.
AFTERWARDS = "afterwards"

#: Seconds that a client of chaos waits for a silent server; in the connection as ``read_timeout``.
READ_TIMEOUT = 4.0
#: Seconds that it waits out an outage.
OUTAGE_TOLERANCE = 15.0

# The server holds the request and works later: whoever is killed meanwhile leaves no trace yet.
HELD_BEFORE = {"action": "delay", "delay": 3.0}
# It works at once and takes its time to answer.
HELD_AFTER = {"action": "trickle", "bytes_per_second": 20.0}
# A file of a few hundred kilobytes takes seconds.
SLOW_FILE = {"action": "trickle", "bytes_per_second": 40_000.0}
SILENCE = {"action": "delay", "delay": READ_TIMEOUT + 2.0}

# Before and after the work differ in their look in the log of requests, too: `invariants` tells them apart by it.
CLOSED_BEFORE = {"action": "close"}
RESET_AFTER = {"action": "reset", "work": True}
GATEWAY_AFTER = {"action": "status", "status": 502, "work": True}
BUSY = {"action": "status", "status": 503, "headers": {"Retry-After": "1"}}
TOO_MANY = {"action": "status", "status": 429, "headers": {"Retry-After": "1"}}
CUT = {"action": "truncate", "fraction": 0.5}


@dataclass(frozen=True)
class Kind:
    """One kind of fault.

    :param text: what the report calls it.
    :param step: the task that it hits, or `AFTERWARDS`.
    :param fault: what the server does to a request of that step; None: nothing.
    :param kills: `worker`, `supervisor` (of the worker), `scheduler`, `triggerer`, `api-server` or `server`; None:
        nothing.
    :param clears: the task that a person clears; None: none.
    :param fails: whether the build fails.
    :param waits: whether it takes a `start_build` that waits for its build itself.
    :param skip: let so many requests of the step pass first.
    :param times: requests that the fault hits.
    :param brief: part of the short form.
    """

    text: str
    step: str
    fault: Mapping[str, Any] | None = field(default=None, hash=False)
    kills: str | None = None
    clears: str | None = None
    fails: bool = False
    waits: bool = False
    skip: int = 0
    times: int = 1
    brief: bool = False

    @property
    def strikes(self) -> bool:
        """Whether more happens than what the server does to a request: at a moment that must be waited for."""
        return bool(self.kills or self.clears or self.fails)


_ANSWERS_TO_POST = (
    ("connection closed before the work", CLOSED_BEFORE),
    ("connection reset after the work", RESET_AFTER),
    ("502 after the work", GATEWAY_AFTER),
    ("503 with Retry-After", BUSY),
    ("429 with Retry-After", TOO_MANY),
    ("answer cut off", CUT),
    ("answer later than the read time-out", SILENCE),
)

START = (
    Kind("worker killed before the server works", "start_build", HELD_BEFORE, "worker"),
    Kind("worker killed between work and answer", "start_build", HELD_AFTER, "worker", brief=True),
    Kind("supervisor killed, worker goes on alone", "start_build", HELD_AFTER, "supervisor"),
    Kind("scheduler killed between work and answer", "start_build", HELD_AFTER, "scheduler"),
    Kind("API server killed between work and answer", "start_build", HELD_AFTER, "api-server"),
    Kind("server killed before it works", "start_build", HELD_BEFORE, "server"),
    Kind("server killed between work and answer", "start_build", HELD_AFTER, "server"),
    Kind("cleared between work and answer", "start_build", HELD_AFTER, clears="start_build"),
    Kind("worker killed before it defers", "start_build", HELD_AFTER, "worker", waits=True, brief=True),
    Kind("cleared while it is deferred", "start_build", clears="start_build", waits=True),
    Kind("its build fails while it waits", "start_build", fails=True, waits=True),
    *(
        Kind(text, "start_build", fault, brief=fault in (RESET_AFTER, CLOSED_BEFORE, BUSY))
        for text, fault in _ANSWERS_TO_POST
    ),
)

# The first look may be a worker's: what comes later hits the triggerer.
WAIT = (
    Kind("triggerer killed", "wait_for_build", None, "triggerer", brief=True),
    Kind("scheduler killed", "wait_for_build", None, "scheduler"),
    Kind("API server killed", "wait_for_build", None, "api-server", brief=True),
    Kind("server killed", "wait_for_build", None, "server", brief=True),
    Kind("cleared while it is deferred", "wait_for_build", clears="wait_for_build"),
    Kind("502 three times", "wait_for_build", {"action": "status", "status": 502}, skip=1, times=3, brief=True),
    Kind("503 with Retry-After", "wait_for_build", BUSY, skip=1),
    Kind("connection reset", "wait_for_build", {"action": "reset"}, skip=1),
    Kind("answer cut off", "wait_for_build", CUT, skip=1),
    Kind("answer later than the read time-out", "wait_for_build", SILENCE, skip=1),
    Kind(
        "a page of HTML",
        "wait_for_build",
        {"action": "status", "status": 200, "body": "<html>maintenance</html>", "content_type": "text/html"},
        skip=1,
    ),
    Kind("token expired", "wait_for_build", {"action": "expired"}, skip=1),
)

DOWNLOAD = (
    Kind("worker killed in the middle of a file", "download_build", SLOW_FILE, "worker", brief=True),
    Kind("supervisor killed, worker goes on alone", "download_build", SLOW_FILE, "supervisor"),
    Kind("scheduler killed in the middle of a file", "download_build", SLOW_FILE, "scheduler", brief=True),
    Kind("API server killed in the middle of a file", "download_build", SLOW_FILE, "api-server"),
    Kind("server killed in the middle of a file", "download_build", SLOW_FILE, "server"),
    Kind("cleared in the middle of a file", "download_build", SLOW_FILE, clears="download_build"),
    Kind("file cut off", "download_build", CUT, times=2, brief=True),
    Kind("connection closed", "download_build", CLOSED_BEFORE),
    Kind("502", "download_build", {"action": "status", "status": 502}),
    Kind("answer later than the read time-out", "download_build", SILENCE),
)

DEPLOY = (
    Kind("worker killed before the server works", "deploy_build", HELD_BEFORE, "worker"),
    Kind("worker killed between work and answer", "deploy_build", HELD_AFTER, "worker", brief=True),
    Kind("server killed before it works", "deploy_build", HELD_BEFORE, "server"),
    Kind("cleared between work and answer", "deploy_build", HELD_AFTER, clears="deploy_build"),
    *(Kind(text, "deploy_build", fault, brief=fault is RESET_AFTER) for text, fault in _ANSWERS_TO_POST),
)

START_AGAIN = Kind("start_build cleared, with all after it", AFTERWARDS, clears="start_build", brief=True)
CLEARED = (
    START_AGAIN,
    Kind("wait_for_build cleared", AFTERWARDS, clears="wait_for_build"),
    Kind("download_build cleared", AFTERWARDS, clears="download_build", brief=True),
    Kind("deploy_build cleared", AFTERWARDS, clears="deploy_build", brief=True),
)

KINDS = (*START, *WAIT, *DOWNLOAD, *DEPLOY, *CLEARED)
