"""The faults of the fault table: what each is, how it is provoked, and how this provider's tasks must end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.faults.stage import NOWHERE, Stage
from tests.kit.outcomes import FINISHED

HOUR = 3600.0


@dataclass(frozen=True)
class Row:
    """One fault.

    :param id: its name, stable.
    :param fault: what happens, for the reader of the table; ``{minute}`` and the like stand for the pace.
    :param provoke: makes it happen.
    :param starting: whether it meets the start of a build; else it meets the wait for one.
    :param ends: how this provider's first try must end: finished, or by an error of this class; a retry then finishes.
    :param right: how any first try must end: ``finished``, ``failed`` or ``either``; without it as this one's.
    :param hits: how many requests of each task the server must have answered wrongly; None: the fault is none of the
        server's, or any number will do.
    :param most: how many requests the server may get for each task, retry and login included.
    :param sign: what this provider must say of it, in its log or its error: the proof that the fault was met.
    :param lasting: whether it ends only when the task has failed; this provider waits a shorter tolerance then.
    :param tls: whether the server speaks TLS.
    """

    id: str
    fault: str
    provoke: Callable[[Stage], None]
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
        """How any provider's first try must end."""
        return self.right or (FINISHED if self.ends == FINISHED else "failed")


def _down(stage: Stage, seconds: float) -> None:
    stage.down()
    stage.later(seconds, stage.up)


def _restart(stage: Stage) -> None:
    stage.down()
    stage.up()


def _clock(stage: Stage) -> None:
    stage.later(stage.pace.build / 4, lambda: stage.jump(2 * HOUR))
    stage.later(stage.pace.build / 2, lambda: stage.jump(-4 * HOUR))


def _vanish(stage: Stage) -> None:
    for build_id in stage.builds:
        stage.control.delete_build(build_id)


def _busy(stage: Stage, retry_after: str) -> None:
    # Whoever asks again before the time is answered the same again, and is counted.
    stage.polls("status", seconds=stage.pace.busy, status=503, headers={"Retry-After": retry_after})


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
    Row("truncated", "body cut in the middle, once", lambda s: s.polls("truncate"), hits=1),
    Row(
        "html",
        "200 with an HTML page, once",
        lambda s: s.polls("status", status=200, body="<html>busy</html>", content_type="text/html"),
        hits=1,
    ),
    Row("slow", "answer after {slow}, once", lambda s: s.polls("delay", delay=s.pace.slow), hits=1),
    Row("401-once", "401, once (the token has expired)", lambda s: s.polls("expired"), hits=1),
    Row(
        "401-for-ever",
        "401, for ever",
        lambda s: s.polls("expired", times=None),
        ends="NotAuthenticatedError",
        hits=2,
        lasting=True,
    ),
    Row("404", "404, for ever", lambda s: s.polls("status", times=None, status=404), ends="NotFoundError", hits=1),
    Row("vanishes", "the build vanishes", _vanish, ends="NotFoundError"),
    Row(
        "dns",
        "host name without an address, for ever",
        lambda s: s.connect(NOWHERE),
        ends="ConnectionFailedError",
        sign=NOWHERE,
        lasting=True,
    ),
    Row(
        "tls",
        "certificate of an unknown authority, for ever",
        lambda s: s.show_certificate("unknown.pem"),
        ends="ConnectionFailedError",
        sign="CERTIFICATE_VERIFY_FAILED",
        lasting=True,
        tls=True,
    ),
    Row("status-twice", "a status that is not documented, twice", lambda s: s.strange_status(2), hits=2),
    Row(
        "status-for-ever",
        "a status that is not documented, for ever",
        lambda s: s.strange_status(None),
        ends="ProtocolError",
        most=15,
        sign="'PAUSED'",
        lasting=True,
    ),
    Row("restart", "the server is restarted", _restart),
    Row("clock", "the clock jumps two hours on, then four back", _clock),
)

STARTING = (
    Row(
        "post-reset-before",
        "start: connection reset, nothing was done",
        lambda s: s.start("reset"),
        starting=True,
        ends="BuildStartUncertainError",
        right="either",
        hits=1,
        most=20,
        lasting=True,
    ),
    Row(
        "post-reset-after",
        "start: connection reset, the build was started",
        lambda s: s.start("reset", work=True),
        starting=True,
        hits=1,
    ),
    Row(
        "post-502-after",
        "start: 502, the build was started",
        lambda s: s.start("status", status=502, work=True),
        starting=True,
        hits=1,
    ),
    Row(
        "post-truncated",
        "start: body cut in the middle, the build was started",
        lambda s: s.start("truncate"),
        starting=True,
        hits=1,
    ),
    Row(
        "post-slow",
        "start: answer after {slow}, the build is started then",
        lambda s: s.start("delay", delay=s.pace.slow),
        starting=True,
        hits=1,
    ),
    Row(
        "post-503",
        "start: 503 with `Retry-After`, nothing was done",
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
