"""How a wait for a build ended, wherever it waited: in a worker, in the triggerer or between two workers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from mkw_airflow_provider.client.api.builds import Build
from mkw_airflow_provider.client.text import foreign_text, quote_value
from mkw_airflow_provider.exceptions import BuildTimeoutError, MetaKraftwerkError, ProtocolError, WaitInterruptedError

#: The rest of a build is estimated from this progress on, in per cent: what comes before says too little.
LEAST_PROGRESS = 5


@dataclass(frozen=True)
class Ended:
    """The build ended: FINISHED, FAILED or CANCELED."""

    build: Build

    def message(self) -> str:
        """Return what happened, as one line."""
        return describe_end(self.build)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"outcome": "ended", "build_id": self.build.id, "build": self.build.to_dict()}

    def require_ended(self) -> Build:
        """Return the build."""
        return self.build


@dataclass(frozen=True)
class TimedOut:
    """The time for waiting was over before the build had ended.

    :param limit: the argument that set the time: ``timeout`` or ``execution_timeout``; None: not known here.
    :param last_seen: how the build was at the last poll that succeeded; None: no poll succeeded.
    :param cause: why the build could not be read at the end; None: it could.
    """

    build_id: int
    limit: str | None
    last_seen: str | None
    cause: str | None = None

    def message(self) -> str:
        """Return what happened, as one line."""
        seen = f"last seen {self.last_seen}" if self.last_seen else "it could not be read once"
        cause = f" It could not be read at the end: {self.cause.rstrip('.')}." if self.cause else ""
        return (
            f"Build {self.build_id} did not end within `{self.limit or 'timeout'}` ({seen}).{cause} "
            f"{'If it has not ended, it' if cause else 'It'} is still running: the API cannot cancel builds."
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form. Workers with an earlier version of this package read ``error`` only."""
        return {
            "outcome": "timeout",
            "build_id": self.build_id,
            "limit": self.limit,
            "last_seen": self.last_seen,
            "cause": self.cause,
            "error": self._error().to_dict(),
        }

    def require_ended(self) -> Build:
        """Raise the timeout."""
        raise self._error()

    def _error(self) -> BuildTimeoutError:
        return BuildTimeoutError(self.build_id, self.message())


@dataclass(frozen=True)
class Failed:
    """The wait failed. The state of the build is unknown, or it is still running: the error says which."""

    build_id: int
    error: MetaKraftwerkError

    def message(self) -> str:
        """Return what happened, as one line."""
        return f"Waiting for build {self.build_id} failed: {str(self.error).rstrip('.')}."

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"outcome": "error", "build_id": self.build_id, "error": self.error.to_dict()}

    def require_ended(self) -> Build:
        """Raise the error."""
        raise self.error


WaitResult: TypeAlias = Ended | TimedOut | Failed


def from_dict(value: Any, build_id: int) -> WaitResult:
    """Read the JSON form of a result, of this version of the package or of another one.

    :param build_id: the build that was waited for.
    :return: what the value says; for anything else ``Failed`` with a :class:`WaitInterruptedError`, so that an unknown
        event is never treated as success.
    """
    if not isinstance(value, Mapping):
        return _unreadable(value, build_id)
    outcome = value.get("outcome")
    if outcome == "ended":
        try:
            build = Build.from_json(value.get("build"))
        except ProtocolError:
            return _unreadable(value, build_id)
        return Ended(build) if build.id == build_id and build.has_ended else _unreadable(value, build_id)
    if outcome == "timeout":
        limit, last_seen, cause = (_text(value.get(name)) for name in ("limit", "last_seen", "cause"))
        return TimedOut(build_id, limit, last_seen, cause)
    if outcome == "error":
        error = MetaKraftwerkError.from_dict(value.get("error"))
        name = value["error"].get("class") if isinstance(value.get("error"), Mapping) else None
        # An error of another version of this package says nothing that this one could rely on.
        return Failed(build_id, error) if type(error).__name__ == name else _unreadable(value, build_id)
    return _unreadable(value, build_id)


def _unreadable(value: Any, build_id: int) -> Failed:
    return Failed(build_id, WaitInterruptedError(f"the triggerer sent an unknown event, {quote_value(value)}"))


def _text(value: Any) -> str | None:
    return foreign_text(value) if isinstance(value, str) and value else None


def describe_progress(build: Build, age: float | None) -> str:
    """Return the state of a build as one line, with an estimate of the rest.

    :param age: of the build, in seconds; None: not known.
    """
    since = "" if age is None else f" after {duration(age)}"
    said = f" ({foreign_text(build.message)})" if build.message and not build.has_ended else ""
    status = describe_status(str(build.status), build.progress)
    return f"Build {build.id} is {status}{since}{_time_left(build, age)}{said}."


def _time_left(build: Build, age: float | None) -> str:
    """Return the rest as part of a sentence, if the progress so far allows to estimate it."""
    if age is None or build.has_ended or build.progress is None or not LEAST_PROGRESS <= build.progress < 100:
        return ""
    return f", about {duration(age * (100 / build.progress - 1), rough=True)} left"


def describe_status(status: str, progress: int | None) -> str:
    """Return status and progress, as part of a sentence."""
    return f"{foreign_text(status, 50)}{'' if progress is None else f', {progress} %'}"


def describe_end(build: Build) -> str:
    """Return how a build ended as one line: the last one of a wait, wherever it ends."""
    took = ""
    if build.build_start is not None and build.build_end is not None:
        took = f" after {duration((build.build_end - build.build_start).total_seconds())}"
    count = len(build.downloads)
    files = f", {count} download{'' if count == 1 else 's'}" if count else ""
    said = f": {foreign_text(build.message)}" if build.message and build.status != "FINISHED" else ""
    return f"Build {build.id} ended {foreign_text(str(build.status), 50)}{took}{files}{said}."


def duration(seconds: float, *, rough: bool = False) -> str:
    """Return seconds for people: ``42 s``, ``5 min 3 s``, ``2 h 7 min``.

    :param rough: one unit is enough: ``42 s``, ``5 min``, ``2 h 7 min``.
    """
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        if rough:
            return f"{round(whole / 60)} min"
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
