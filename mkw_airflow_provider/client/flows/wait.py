"""Waiting for a build to end: status first, deadline second."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mkw_airflow_provider.client.api.builds import Build, BuildStatus, get_build
from mkw_airflow_provider.client.flows.polling import next_pause
from mkw_airflow_provider.client.session import ApiSession, Flow, Sleep
from mkw_airflow_provider.exceptions import ApiError, BuildTimeoutError, ConnectionFailedError, ProtocolError, is_final

#: A line is logged when the progress enters another of these steps, in per cent.
PROGRESS_STEP = 10
#: A history is one line: of more changes than this, the oldest but the first are left out.
LONGEST_HISTORY = 12


@dataclass
class PollHistory:
    """What was seen of a build while waiting, for the one line that sums the wait up.

    :param seconds: how long the wait took so far.
    :param polls: how many answers came.
    :param changes: ``[seconds since the wait began, status, progress]`` whenever status or progress step changed.
    """

    seconds: float = 0.0
    polls: int = 0
    changes: list[tuple[float, str, int | None]] = field(default_factory=list)

    def see(self, build: Build, seconds: float) -> bool:
        """Take down a look at the build; return whether it shows something new."""
        self.seconds, self.polls = seconds, self.polls + 1
        seen = (str(build.status), _step(build.progress))
        if self.changes and seen == (self.changes[-1][1], _step(self.changes[-1][2])):
            return False
        self.changes.append((round(seconds, 1), str(build.status), build.progress))
        if len(self.changes) > LONGEST_HISTORY:
            del self.changes[1]
        return True

    def last_seen(self) -> str | None:
        """Return how the build was at the last look; None before the first one."""
        if not self.changes:
            return None
        _, status, progress = self.changes[-1]
        return f"{last_seen(status, progress)} after a wait of {duration(self.seconds)}"

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"seconds": round(self.seconds, 1), "polls": self.polls, "changes": [list(c) for c in self.changes]}

    @staticmethod
    def describe(build_id: int, history: dict[str, Any]) -> str:
        """Return the JSON form as one line."""
        changes = ", ".join(
            f"{status}{'' if progress is None else f' {progress} %'} at {seconds:.0f} s"
            for seconds, status, progress in history.get("changes", ())
        )
        return (
            f"Build {build_id} was watched for {history.get('seconds', 0):.0f} s in {history.get('polls', 0)} polls"
            f"{': ' if changes else ''}{changes}."
        )


def _step(progress: int | None) -> int | None:
    return None if progress is None else progress // PROGRESS_STEP


def look(session: ApiSession, build_id: int) -> Flow[Build]:
    """Read a build once.

    :raises NotFoundError: if there is none.
    """
    return (yield from session.request(get_build(build_id)))


def wait(
    session: ApiSession,
    build_id: int,
    *,
    poll_interval: float,
    deadline: float | None = None,
    first_pause: float = 0.0,
    history: PollHistory | None = None,
    after_timeout: str = "",
) -> Flow[Build]:
    """Look at a build until it has ended, however it did.

    :param poll_interval: the longest pause between two looks, in seconds.
    :param deadline: epoch seconds; None: wait for as long as it takes.
    :param first_pause: seconds to wait before the first look, for a build that was just looked at.
    :param history: filled in on the way.
    :param after_timeout: a sentence for the time-out's message: what a retry will do.
    :return: the build, FINISHED, FAILED or CANCELED.
    :raises BuildTimeoutError: after the deadline, if the build has not ended even then.
    :raises ConnectionFailedError: if nothing was heard for ``outage_tolerance``: the state is unknown, not failed.
    :raises ProtocolError: if for that long the status was none that the API documents.
    :raises NotFoundError: if the build vanishes.
    """
    history = history if history is not None else PollHistory()
    began = session.monotonic()
    unknown_since: float | None = None
    request = get_build(build_id)
    # A deadline that has passed already, say while no triggerer ran, still allows one look.
    if first_pause > 0:
        yield Sleep(first_pause if deadline is None else max(0.0, min(first_pause, deadline - session.wall())))
    while True:
        try:
            build = yield from session.request(request, until=_grace(session, deadline))
        except (ConnectionFailedError, ApiError, ProtocolError) as error:
            if is_final(error) or deadline is None or session.wall() < deadline:
                raise
            last_words = f"The server could not be asked at the end: {error}. "
            raise _timed_out(build_id, history, session.monotonic() - began, last_words, after_timeout) from error
        now = session.monotonic()
        elapsed = age(build, session.wall(), now - began) or now - began
        if history.see(build, now - began):
            session.log.info("%s", standing(build, elapsed))
        if build.has_ended:
            return build
        unknown_since = _check_status(session, build, unknown_since)
        if deadline is not None and session.wall() >= deadline:
            raise _timed_out(build_id, history, now - began, "", after_timeout)
        pause = next_pause(
            elapsed=elapsed,
            progress=build.progress,
            poll_interval=poll_interval,
            chance=session.random(),
        )
        yield Sleep(pause if deadline is None else max(0.0, min(pause, deadline - session.wall())))


def _grace(session: ApiSession, deadline: float | None) -> float | None:
    """Return until when a look may be repeated: to the deadline, and a look after it is worth a few seconds more."""
    return None if deadline is None else max(deadline, session.wall() + session.settings.connect_timeout)


def _check_status(session: ApiSession, build: Build, unknown_since: float | None) -> float | None:
    """Return since when the status has been one that the API does not document; None if it is documented.

    :raises ProtocolError: if it stays so for longer than the tolerance, or the build shows an end.
    """
    if build.status == BuildStatus.BUILDING:
        return None
    now = session.monotonic()
    since = now if unknown_since is None else unknown_since
    if build.build_end is not None or now - since >= session.settings.outage_tolerance:
        raise ProtocolError(
            f"build {build.id} has the status {build.status!r}, which the API does not document; "
            "whether it goes on, and how it ends, is unknown: look at it in the web application"
        )
    return since


def _timed_out(
    build_id: int, history: PollHistory, waited: float, last_words: str, after_timeout: str
) -> BuildTimeoutError:
    seen = history.last_seen() or f"not seen once in {duration(waited)}"
    return BuildTimeoutError(build_id, timeout_message(build_id, seen, last_words, after_timeout))


def last_seen(status: str, progress: int | None) -> str:
    """Return how a build was at the last look, as a part of a time-out's message."""
    return f"last seen {status}{'' if progress is None else f' at {progress} %'}"


def timeout_message(build_id: int, seen: str, last_words: str = "", after_timeout: str = "") -> str:
    """Return what every time-out says: the build goes on, its id, and what happens next."""
    return (
        f"the time for waiting is over, but build {build_id} has not ended ({seen}). {last_words}"
        f"It goes on at the server, for the API has no cancel. {after_timeout}"
    ).strip()


def age(build: Build, now: float, watched: float = 0.0) -> float | None:
    """Return a build's age in seconds, by its own start, which no restart of the waiting resets; None: not known.

    :param now: seconds since the epoch.
    :param watched: for how many seconds the build has been looked at, at least.
    """
    start = build.build_start or build.created_at
    if start is None:
        return None
    since = now - start.timestamp()
    # A server whose clock goes wrong must make neither pauses nor sentences absurd.
    return since if watched <= since <= watched + 30 * 86_400 else None


def standing(build: Build, age: float | None) -> str:
    """Return how a build is as one line.

    :param age: of the build, in seconds; None: not known.
    """
    progress = "" if build.progress is None else f", {build.progress} %"
    since = "" if age is None else f" after {duration(age)}"
    said = f" ({build.message})" if build.message and not build.has_ended else ""
    return f"Build {build.id} is {build.status}{progress}{since}{said}."


def ending(build: Build) -> str:
    """Return how a build ended as one line: the last one of a wait, wherever it ends."""
    took = ""
    if build.build_start is not None and build.build_end is not None:
        took = f" after {duration((build.build_end - build.build_start).total_seconds())}"
    count = len(build.downloads)
    files = f", {count} download{'' if count == 1 else 's'}" if count else ""
    said = f": {build.message}" if build.message and build.status != "FINISHED" else ""
    return f"Build {build.id} ended {build.status}{took}{files}{said}."


def duration(seconds: float) -> str:
    """Return seconds for people: ``42 s``, ``5 min 3 s``, ``2 h 7 min``."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
