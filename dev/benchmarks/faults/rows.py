"""The faults of the fault table: how each one is injected, and how this provider's tasks must end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dev.benchmarks.faults.setup import UNKNOWN_HOST, Setup
from tests.kit.outcomes import FINISHED

HOUR = 3600.0


@dataclass(frozen=True)
class Row:
    """One fault.

    :param id: its stable name.
    :param fault: the text in the table; ``{minute}`` and similar names are replaced by times.
    :param inject: injects it.
    :param starting: whether it hits the start of a build; otherwise it hits the wait.
    :param ends: how this provider's first attempt must end: finished, or with an error of this class.
        Its retry finishes; a task that ends with ``AirflowFailException`` is not retried.
    :param right: how any first attempt must end: ``finished``, ``failed`` or ``either``; by default as this provider's.
    :param hits: how many requests of each task the fault must hit; None: any number, or no fault of the server.
    :param most: the most requests per task that the server may receive, including retry and login.
    :param sign: text that this provider's log or error must contain, which proves that the fault took place.
    :param lasting: whether it lasts until the task has failed; this provider has a shorter tolerance then.
    :param tls: whether the server uses TLS.
    """

    id: str
    fault: str
    inject: Callable[[Setup], None]
    starting: bool = False
    ends: str = FINISHED
    right: str = ""
    hits: int | None = None
    most: int = 12
    sign: str = ""
    lasting: bool = False
    tls: bool = False

    @property
    def right_ending(self) -> str:
        """How any provider's first attempt must end."""
        return self.right or (FINISHED if self.ends == FINISHED else "failed")


def _down(setup: Setup, seconds: float) -> None:
    setup.down()
    setup.later(seconds, setup.up)


def _restart(setup: Setup) -> None:
    setup.down()
    setup.up()


def _clock(setup: Setup) -> None:
    setup.later(setup.pace.build / 4, lambda: setup.jump(2 * HOUR))
    setup.later(setup.pace.build / 2, lambda: setup.jump(-4 * HOUR))


def _vanish(setup: Setup) -> None:
    for build_id in setup.builds:
        setup.control.delete_build(build_id)


def _withhold_connection(setup: Setup, seconds: float) -> None:
    setup.disconnect()
    setup.later(seconds, setup.connect)


def _busy(setup: Setup, retry_after: str) -> None:
    # Polls before that time get the same response and are counted.
    setup.polls("status", seconds=setup.pace.busy, status=503, headers={"Retry-After": retry_after})


WAITING = (
    Row("502-once", "502, once", lambda s: s.polls("status", status=502), hits=1),
    Row("502-three", "502, three times in a row", lambda s: s.polls("status", times=3, status=502), hits=3),
    Row(
        "502-minute",
        "502 for {minute}",
        lambda s: s.polls("status", seconds=s.pace.minute, status=502),
        most=20,
        sign="502",
    ),
    Row(
        "503-seconds",
        "503 for {busy} with `Retry-After` in seconds",
        lambda s: _busy(s, str(s.pace.retry_after)),
        hits=1,
    ),
    Row("503-date", "503 for {busy} with `Retry-After` as a date", lambda s: _busy(s, s.retry_at()), hits=1),
    Row("429", "429, once", lambda s: s.polls("status", status=429), hits=1),
    Row("refused", "connection refused for {minute}", lambda s: _down(s, s.pace.minute), sign="Cannot connect"),
    Row("reset-once", "connection reset, once", lambda s: s.polls("reset"), hits=1),
    Row("reset-twice", "connection reset, twice in a row", lambda s: s.polls("reset", times=2), hits=2),
    Row("truncated", "truncated body, once", lambda s: s.polls("truncate"), hits=1),
    Row(
        "html",
        "200 with an HTML page, once",
        lambda s: s.polls("status", status=200, body="<html>busy</html>", content_type="text/html"),
        hits=1,
    ),
    Row(
        "404-gateway",
        "404 with an HTML page of a gateway, once",
        lambda s: s.polls("status", status=404, body="<html>no route</html>", content_type="text/html"),
        hits=1,
    ),
    Row("404-once", "404, once", lambda s: s.polls("status", status=404), hits=1),
    Row("slow", "response after {slow}, once", lambda s: s.polls("delay", delay=s.pace.slow), hits=1),
    Row("401-once", "401, once (the token has expired)", lambda s: s.polls("expired"), hits=1),
    Row(
        "401-for-ever",
        "401, forever",
        lambda s: s.polls("expired", times=None),
        ends="AirflowFailException",
        hits=2,
        lasting=True,
    ),
    Row("404", "404, forever", lambda s: s.polls("status", times=None, status=404), ends="NotFoundError", most=60),
    Row("vanishes", "the build is deleted", _vanish, ends="NotFoundError", most=60),
    Row(
        "dns",
        "unknown host name, forever",
        lambda s: s.connect(UNKNOWN_HOST),
        ends="ConnectionFailedError",
        sign=UNKNOWN_HOST,
        lasting=True,
    ),
    Row(
        "tls",
        "certificate of an unknown authority, forever",
        lambda s: s.show_certificate("unknown.pem"),
        ends="ConnectionFailedError",
        sign="CERTIFICATE_VERIFY_FAILED",
        lasting=True,
        tls=True,
    ),
    Row("status-twice", "undocumented status, twice", lambda s: s.undocumented_status(2), hits=2),
    Row(
        "status-for-ever",
        "undocumented status, forever",
        lambda s: s.undocumented_status(None),
        ends="ProtocolError",
        most=15,
        sign="'PAUSED'",
        lasting=True,
    ),
    Row(
        "connection",
        "the Airflow connection is missing for {busy}",
        lambda s: _withhold_connection(s, s.pace.busy),
        sign="metakraftwerk_default",
    ),
    Row("restart", "the server is restarted", _restart),
    Row("clock", "the clock jumps 2 hours ahead, then 4 hours back", _clock),
)

STARTING = (
    Row(
        "post-reset-before",
        "start: connection reset, build not started",
        lambda s: s.start("reset"),
        starting=True,
        ends="BuildStartUncertainError",
        right="either",
        hits=1,
        most=30,
        lasting=True,
    ),
    Row(
        "post-reset-after",
        "start: connection reset, build started",
        lambda s: s.start("reset", work=True),
        starting=True,
        hits=1,
    ),
    Row(
        "post-502-after",
        "start: 502, build started",
        lambda s: s.start("status", status=502, work=True),
        starting=True,
        hits=1,
    ),
    Row(
        "post-truncated",
        "start: truncated body, build started",
        lambda s: s.start("truncate"),
        starting=True,
        hits=1,
    ),
    Row(
        "post-slow",
        "start: response after {slow}, build started then",
        lambda s: s.start("delay", delay=s.pace.slow),
        starting=True,
        hits=1,
    ),
    Row(
        "post-503",
        "start: 503 with `Retry-After`, build not started",
        lambda s: s.start("status", status=503, headers={"Retry-After": "1"}),
        starting=True,
        hits=1,
    ),
    Row(
        "post-refused",
        "start: connection refused for {busy}",
        lambda s: _down(s, s.pace.busy),
        starting=True,
        sign="refused",
    ),
)

ROWS = WAITING + STARTING
