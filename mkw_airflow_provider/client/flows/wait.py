"""Waiting for a build to end: status first, deadline second."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mkw_airflow_provider.client.api.builds import Build, BuildStatus, get_build
from mkw_airflow_provider.client.flows.polling import next_pause
from mkw_airflow_provider.client.flows.wait_result import (
    Ended,
    Failed,
    TimedOut,
    WaitResult,
    describe_progress,
    describe_status,
    duration,
)
from mkw_airflow_provider.client.request import Request
from mkw_airflow_provider.client.session import ApiSession, Flow, Sleep
from mkw_airflow_provider.client.text import quote_value
from mkw_airflow_provider.exceptions import (
    ConfigurationError,
    MetaKraftwerkError,
    NotFoundError,
    ProtocolError,
    is_final,
)

#: What each poll reads of a running build. For a line of the log, the whole build is read.
PROGRESS_FIELDS = ("id", "status", "progress")
#: What the polls read in addition until the start is known.
START_FIELDS = ("build_start", "created_at")
#: A line is logged when the progress enters another of these steps, in per cent.
PROGRESS_STEP = 10
#: A history is one line: of more changes than this, the oldest but the first are left out.
LONGEST_HISTORY = 12
#: Seconds for which a build that is known to exist may be missing, for example in the response of a replica.
NOT_FOUND_TOLERANCE = 60.0
NOT_FOUND_PAUSE = 5.0


@dataclass
class PollHistory:
    """What was seen of a build while waiting, for the one line that sums the wait up.

    :param seconds: how long the wait took so far.
    :param polls: how many polls succeeded.
    :param changes: ``[seconds since the wait began, status, progress]`` whenever status or progress step changed.
    """

    seconds: float = 0.0
    polls: int = 0
    changes: list[tuple[float, str, int | None]] = field(default_factory=list)

    def add(self, build: Build, seconds: float) -> bool:
        """Record a poll; return whether it shows something new."""
        self.seconds, self.polls = seconds, self.polls + 1
        seen = (str(build.status), _step(build.progress))
        if self.changes and seen == (self.changes[-1][1], _step(self.changes[-1][2])):
            return False
        self.changes.append((round(seconds, 1), str(build.status), build.progress))
        if len(self.changes) > LONGEST_HISTORY:
            del self.changes[1]
        return True

    def last_seen(self) -> str | None:
        """Return how the build was at the last poll; None before the first one."""
        if not self.changes:
            return None
        _, status, progress = self.changes[-1]
        return describe_status(status, progress)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"seconds": round(self.seconds, 1), "polls": self.polls, "changes": [list(c) for c in self.changes]}

    @staticmethod
    def describe(build_id: int, history: Any) -> str:
        """Return the JSON form as one line, whatever another version of this package has written there."""
        try:
            polls, seconds = int(history["polls"]), float(history["seconds"])
            changes = [
                f"{describe_status(str(status), progress)} at {float(at):.0f} s"
                for at, status, progress in history["changes"]
            ]
        except (KeyError, TypeError, ValueError, OverflowError):
            return f"Build {build_id}: the triggerer sent no history of its polls."
        times = f"{polls} time{'' if polls == 1 else 's'}"
        return f"Build {build_id}: polled {times} in {duration(seconds)}{': ' if changes else ''}{'; '.join(changes)}."


def _step(progress: int | None) -> int | None:
    return None if progress is None else progress // PROGRESS_STEP


def read_build(session: ApiSession, build_id: int, *, until: float | None = None, exists: bool = False) -> Flow[Build]:
    """Read a build, again while the server is unreachable.

    :param until: epoch seconds after which no retry starts.
    :param exists: the build was read before, or started by this task: a 404 is retried for 60 s.
    :raises NotFoundError: if there is no such build.
    """
    return (yield from _poll(session, get_build(build_id), until, exists=exists))


def _poll(session: ApiSession, request: Request[Build], until: float | None, *, exists: bool) -> Flow[Build]:
    missing_since: float | None = None
    while True:
        try:
            return (yield from session.request(request, until=until))
        except NotFoundError as error:
            now = session.monotonic()
            missing_since = now if missing_since is None else missing_since
            left = missing_since + NOT_FOUND_TOLERANCE - now
            if until is not None:
                left = min(left, until - session.wall())
            if not exists or left <= 0:
                raise
            session.log.warning("%s; the build exists, so this is retried for %s more", error, duration(left))
        yield Sleep(min(NOT_FOUND_PAUSE, left))


def wait(
    session: ApiSession,
    build_id: int,
    *,
    poll_interval: float,
    deadline: float | None = None,
    limit: str | None = None,
    first_pause: float = 0.0,
    exists: bool = False,
    history: PollHistory | None = None,
) -> Flow[WaitResult]:
    """Poll a build until it has ended, in whatever way. Raises nothing of this package: every end is a result.

    :param poll_interval: the longest pause between two polls, in seconds.
    :param deadline: epoch seconds; None: wait for as long as it takes.
    :param limit: the argument that the deadline comes from: ``timeout`` or ``execution_timeout``.
    :param first_pause: seconds to wait before the first poll, for a build that was just read.
    :param exists: see :func:`read_build`.
    :param history: filled in on the way.
    """
    history = PollHistory() if history is None else history
    began = session.monotonic()
    unknown_since: float | None = None
    start: float | None = None
    knows_start = False
    try:
        request = get_build(build_id, running=(*PROGRESS_FIELDS, *START_FIELDS))
    except ConfigurationError as error:
        return Failed(build_id, error)
    # A deadline that has passed already, for example while no triggerer ran, still allows one poll.
    if first_pause > 0:
        yield Sleep(first_pause if deadline is None else max(0.0, min(first_pause, deadline - session.wall())))
    while True:
        exists = exists or history.polls > 0
        try:
            build = yield from _poll(session, request, _last_retry(session, deadline), exists=exists)
        except MetaKraftwerkError as error:
            passes = not is_final(error) or (exists and isinstance(error, NotFoundError))
            if passes and deadline is not None and session.wall() >= deadline:
                return TimedOut(build_id, limit, history.last_seen(), str(error))
            return Failed(build_id, error)
        now = session.monotonic()
        start = started(build) or start
        if build.build_start is not None and not knows_start:
            request, knows_start = get_build(build_id, running=PROGRESS_FIELDS), True
        elapsed = age(start, session.server_time(), now - began) or now - began
        if history.add(build, now - began):
            session.log.info("%s", describe_progress(Build.from_json(build.raw), elapsed))
        if build.has_ended:
            return Ended(build)
        if build.status == BuildStatus.BUILDING:
            unknown_since = None
        else:
            unknown_since = now if unknown_since is None else unknown_since
            if build.build_end is not None or now - unknown_since >= session.settings.outage_tolerance:
                return Failed(build_id, unknown_status(build))
        if deadline is not None and session.wall() >= deadline:
            return TimedOut(build_id, limit, history.last_seen())
        pause = next_pause(
            elapsed=elapsed, progress=build.progress, poll_interval=poll_interval, chance=session.random()
        )
        # Thousands of waits sleep at the same time, and none needs its last build.
        del build
        yield Sleep(pause if deadline is None else max(0.0, min(pause, deadline - session.wall())))


def _last_retry(session: ApiSession, deadline: float | None) -> float | None:
    """Return until when a poll may be retried: the deadline, and for a poll after it a few seconds more."""
    return None if deadline is None else max(deadline, session.wall() + session.settings.connect_timeout)


def unknown_status(build: Build) -> ProtocolError:
    """Return the error of a build with a status that the API does not document."""
    return ProtocolError(
        f"build {build.id} has the status {quote_value(build.status, 50)}, which the API does not document. "
        "Whether it is still running, and how it ends, is unknown: check it in the web application"
    )


def started(build: Build) -> float | None:
    """Return when a build started, in seconds since the epoch by the server's clock; None: not known."""
    start = build.build_start or build.created_at
    return None if start is None else start.timestamp()


def age(start: float | None, now: float, watched: float = 0.0) -> float | None:
    """Return a build's age in seconds by its own start, which a restart of the wait does not change; None: not known.

    :param start: see :func:`started`.
    :param now: seconds since the epoch, by the clock of the server.
    :param watched: for how many seconds the build has been polled, at least.
    """
    if start is None:
        return None
    since = now - start
    # The server's date has no fractions of a second. A wrong clock must make neither pauses nor sentences absurd.
    return max(since, watched) if watched - 2.0 <= since <= watched + 30 * 86_400 else None
