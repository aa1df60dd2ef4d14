"""The faults that chaos can inject, and the task of the chain that each one hits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

STEPS = ("start_build", "wait_for_build", "download_build", "deploy_build", "deploy_to_agent")
#: The step of faults that happen after the run has ended.
AFTER_RUN = "after the run"

#: Seconds until a silent server counts as a timeout; `read_timeout` of the connection.
READ_TIMEOUT = 4.0
#: Seconds of outage that a task survives; `outage_tolerance` of the connection.
OUTAGE_TOLERANCE = 15.0

# The server holds the request and processes it later: a caller killed meanwhile leaves no trace yet.
DELAY_BEFORE_WORK = {"action": "delay", "delay": 3.0}
# The server processes the request immediately and takes its time to respond.
DELAY_AFTER_WORK = {"action": "trickle", "bytes_per_second": 20.0}
# At this rate, a file of a few hundred kilobytes takes seconds.
SLOW_FILE = {"action": "trickle", "bytes_per_second": 40_000.0}
TIMEOUT = {"action": "delay", "delay": READ_TIMEOUT + 2.0}

# Faults before and after the work also differ in the log of requests, which is how `invariants` tells them apart.
CLOSE_BEFORE_WORK = {"action": "close"}
RESET_AFTER_WORK = {"action": "reset", "work": True}
GATEWAY_ERROR_AFTER_WORK = {"action": "status", "status": 502, "work": True}
UNAVAILABLE = {"action": "status", "status": 503, "headers": {"Retry-After": "1"}}
TOO_MANY_REQUESTS = {"action": "status", "status": 429, "headers": {"Retry-After": "1"}}
TRUNCATE = {"action": "truncate", "fraction": 0.5}
# Switches of the emulator: what the list of builds shows, and what is left of a description.
LATE_LIST = {"list_delay_seconds": 6.0}
SHORT_DESCRIPTION = {"description_limit": 60}
HTML_PAGE = {"action": "status", "body": "<html>maintenance</html>", "content_type": "text/html"}


@dataclass(frozen=True)
class Fault:
    """One fault of the catalog.

    :param text: what the report calls it.
    :param step: the task that it hits, or `AFTER_RUN`.
    :param response: what the server does to a request of that step; None: nothing.
    :param kills: `worker`, `supervisor` (of the worker), `scheduler`, `triggerer`, `api-server` or `server`.
    :param clears: the task that a person clears.
    :param action: what else happens: a name in `actions` or a method of `ChaosRun`.
    :param switches: switches of the emulator that are set while the build is started.
    :param start_waits: whether it needs a `start_build` that waits for its build itself.
    :param skip: how many requests of the step pass before the response is affected.
    :param times: how many requests the response affects.
    :param short: whether the short form includes it.
    """

    text: str
    step: str
    response: Mapping[str, Any] | None = field(default=None, hash=False)
    kills: str | None = None
    clears: str | None = None
    action: str | None = None
    switches: Mapping[str, Any] = field(default_factory=dict, hash=False)
    start_waits: bool = False
    skip: int = 0
    times: int = 1
    short: bool = False

    @property
    def needs_moment(self) -> bool:
        """Whether something happens at a moment that must be waited for, not just a changed response."""
        return bool(self.kills or self.clears or self.action)


_POST_RESPONSES = (
    ("connection closed before the work", CLOSE_BEFORE_WORK),
    ("connection reset after the work", RESET_AFTER_WORK),
    ("502 after the work", GATEWAY_ERROR_AFTER_WORK),
    ("503 with Retry-After", UNAVAILABLE),
    ("429 with Retry-After", TOO_MANY_REQUESTS),
    ("response truncated", TRUNCATE),
    ("response after the read timeout", TIMEOUT),
)

START = (
    Fault("worker killed before the work", "start_build", DELAY_BEFORE_WORK, "worker"),
    Fault("worker killed before the response", "start_build", DELAY_AFTER_WORK, "worker", short=True),
    Fault("supervisor killed, worker continues alone", "start_build", DELAY_AFTER_WORK, "supervisor"),
    Fault("scheduler killed before the response", "start_build", DELAY_AFTER_WORK, "scheduler"),
    Fault("API server killed before the response", "start_build", DELAY_AFTER_WORK, "api-server"),
    Fault("server killed before the work", "start_build", DELAY_BEFORE_WORK, "server"),
    Fault("server killed before the response", "start_build", DELAY_AFTER_WORK, "server"),
    Fault("cleared before the response", "start_build", DELAY_AFTER_WORK, clears="start_build"),
    Fault("worker killed before deferral", "start_build", DELAY_AFTER_WORK, "worker", start_waits=True, short=True),
    Fault("cleared while deferred", "start_build", clears="start_build", start_waits=True),
    Fault("build fails during the wait", "start_build", action="fail_build", start_waits=True),
    Fault("retries edited, worker killed", "start_build", DELAY_AFTER_WORK, "worker", action="edit_retries"),
    Fault("list of builds late, reset after the work", "start_build", RESET_AFTER_WORK, switches=LATE_LIST),
    Fault("list of builds late, worker killed", "start_build", DELAY_AFTER_WORK, "worker", switches=LATE_LIST),
    Fault("description cut, reset after the work", "start_build", RESET_AFTER_WORK, switches=SHORT_DESCRIPTION),
    *(
        Fault(text, "start_build", response, short=response in (RESET_AFTER_WORK, CLOSE_BEFORE_WORK, UNAVAILABLE))
        for text, response in _POST_RESPONSES
    ),
)

# A worker may send the first poll: faults that skip it hit the triggerer.
WAIT = (
    Fault("triggerer killed", "wait_for_build", kills="triggerer", short=True),
    Fault("scheduler killed", "wait_for_build", kills="scheduler"),
    Fault("API server killed", "wait_for_build", kills="api-server", short=True),
    Fault("server killed", "wait_for_build", kills="server", short=True),
    Fault("cleared while deferred", "wait_for_build", clears="wait_for_build"),
    Fault("502 three times", "wait_for_build", {"action": "status", "status": 502}, skip=1, times=3, short=True),
    Fault("503 with Retry-After", "wait_for_build", UNAVAILABLE, skip=1),
    Fault("connection reset", "wait_for_build", {"action": "reset"}, skip=1),
    Fault("response truncated", "wait_for_build", TRUNCATE, skip=1),
    Fault("response after the read timeout", "wait_for_build", TIMEOUT, skip=1),
    Fault("HTML page with status 200", "wait_for_build", {**HTML_PAGE, "status": 200}, skip=1),
    Fault("404 of the server", "wait_for_build", {"action": "status", "status": 404}, skip=1),
    Fault("404 of a gateway", "wait_for_build", {**HTML_PAGE, "status": 404}, skip=1),
    Fault("token expired", "wait_for_build", {"action": "expired"}, skip=1),
    Fault("start_build of all waiting runs cleared", "wait_for_build", action="clear_waiting_runs"),
    Fault("password rotated, tokens revoked", "wait_for_build", action="rotate_password"),
    Fault("triggerer without the connection", "wait_for_build", action="withhold_connection"),
    Fault("upgrade and rollback of the triggerer", "wait_for_build", action="upgrade_and_roll_back"),
)

DOWNLOAD = (
    Fault("worker killed during a file", "download_build", SLOW_FILE, "worker", short=True),
    Fault("supervisor killed, worker continues alone", "download_build", SLOW_FILE, "supervisor"),
    Fault("scheduler killed during a file", "download_build", SLOW_FILE, "scheduler", short=True),
    Fault("API server killed during a file", "download_build", SLOW_FILE, "api-server"),
    Fault("server killed during a file", "download_build", SLOW_FILE, "server"),
    Fault("cleared during a file", "download_build", SLOW_FILE, clears="download_build"),
    Fault("file truncated", "download_build", TRUNCATE, times=2, short=True),
    Fault("connection closed", "download_build", CLOSE_BEFORE_WORK),
    Fault("502", "download_build", {"action": "status", "status": 502}),
    Fault("response after the read timeout", "download_build", TIMEOUT),
)

DEPLOY = (
    Fault("worker killed before the work", "deploy_build", DELAY_BEFORE_WORK, "worker"),
    Fault("worker killed before the response", "deploy_build", DELAY_AFTER_WORK, "worker", short=True),
    Fault("server killed before the work", "deploy_build", DELAY_BEFORE_WORK, "server"),
    Fault("cleared before the response", "deploy_build", DELAY_AFTER_WORK, clears="deploy_build"),
    Fault("other agent: closed before the work", "deploy_to_agent", CLOSE_BEFORE_WORK),
    Fault("other agent: reset after the work", "deploy_to_agent", RESET_AFTER_WORK),
    *(Fault(text, "deploy_build", response, short=response is RESET_AFTER_WORK) for text, response in _POST_RESPONSES),
)

START_AGAIN = Fault("start_build cleared, with all after it", AFTER_RUN, clears="start_build", short=True)
CLEARED = (
    START_AGAIN,
    Fault("run deleted and created again", AFTER_RUN, action="recreate"),
    Fault("wait_for_build cleared", AFTER_RUN, clears="wait_for_build"),
    Fault("download_build cleared", AFTER_RUN, clears="download_build", short=True),
    Fault("deploy_build cleared", AFTER_RUN, clears="deploy_build", short=True),
)

FAULTS = (*START, *WAIT, *DOWNLOAD, *DEPLOY, *CLEARED)
