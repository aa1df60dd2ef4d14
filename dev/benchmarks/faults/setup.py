"""What a fault needs: a server, a provider whose tasks it hits, and the times of both."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path
from typing import Any, Protocol

from mkw_airflow_provider.emulator import Control

#: Number of tasks, each with a build of its own.
TASKS = 3
#: Seconds from which on a blocked loop counts, because it delays all other triggers.
BLOCKED = 0.1
#: A host name that cannot be resolved (RFC 2606).
UNKNOWN_HOST = "metakraftwerk.invalid"


@dataclass(frozen=True)
class Pace:
    """Times in seconds.

    :param minute: what stands for a minute.
    :param build: duration of a build.
    :param poll_interval: the pause between two polls, or the longest one.
    :param read_timeout: this provider's read timeout; ``slow`` is longer.
    :param slow: time of a slow response.
    :param retry_after: the value of ``Retry-After``, an integer.
    :param tolerance: this provider's ``outage_tolerance``.
    :param short_tolerance: the same for faults that do not end by themselves.
    :param patience: time after which a trigger without an event counts as waiting forever.
    """

    minute: float
    build: float
    poll_interval: float
    read_timeout: float
    slow: float
    retry_after: int
    tolerance: float
    short_tolerance: float
    patience: float

    @property
    def busy(self) -> float:
        """How long a server is busy: less than its ``Retry-After``."""
        return 0.7 * self.retry_after

    def describe(self, text: str) -> str:
        """Return a text with the names in braces replaced by times."""
        names = {"minute": self.minute, "busy": self.busy, "slow": self.slow}
        return text.format(**{name: f"{seconds:g} s" for name, seconds in names.items()})


class Server(Protocol):
    """A server that can be stopped and started.

    :param control: its control API.
    :param certificate: the file with its TLS certificate; None for plain HTTP.
    """

    control: Control
    certificate: Path | None

    def start(self) -> None:
        """Start again on the same port with the same state."""

    def stop(self) -> None:
        """Stop and refuse connections."""


class Provider(Protocol):
    """A provider whose tasks the faults hit.

    :param start_path: glob of the path that starts a build.
    """

    start_path: str

    def forget_tokens(self) -> None:
        """Delete tokens from before a reset of the server."""

    def connection(self, server: Server, pace: Pace, *, tolerance: float, host: str | None) -> dict[str, str]:
        """Return the environment variable that is the Airflow connection.

        :param host: a host instead of the server's.
        """

    def operator(self, task_id: str, pace: Pace) -> Any:
        """Return an operator that starts a build and waits for it in the triggerer."""

    def set_poll_interval(self, trigger: Any, pace: Pace) -> None:
        """Set a trigger's poll interval if its operator has no parameter for it."""

    def build_id(self, trigger: Any) -> int:
        """Return which build a trigger waits for."""

    def poll_path(self, build_id: int) -> str:
        """Return the path that the trigger polls."""

    def status_response(self, build_id: int, status: str) -> dict[str, Any]:
        """Return the response to a poll with a given status."""


class Setup:
    """One fault that hits the tasks of one provider.

    :param server: the server of the tasks.
    :param provider: whose tasks they are.
    :param pace: the times.
    :param tolerance: this provider's ``outage_tolerance``.
    :param jump: shifts the wall clock by a number of seconds.
    """

    def __init__(
        self, server: Server, provider: Provider, pace: Pace, *, tolerance: float, jump: Callable[[float], None]
    ) -> None:
        self.server = server
        self.provider = provider
        self.pace = pace
        self.jump = jump
        self.builds: list[int] = []
        self.hits = 0
        self._tolerance = tolerance
        self._down = False
        self._later: list[tuple[float, Callable[[], None]]] = []
        self._timers: list[threading.Timer] = []

    @property
    def control(self) -> Control:
        """The control of the server."""
        return self.server.control

    def polls(self, action: str, *, times: int | None = 1, seconds: float | None = None, **arguments: Any) -> None:
        """Set a fault for the polls of each build.

        :param times: how many polls per build; None: no limit.
        :param seconds: for how long from the first poll on.
        """
        for build_id in self.builds:
            path = self.provider.poll_path(build_id)
            self.control.fault(action, method="GET", path=path, times=times, seconds=seconds, **arguments)

    def undocumented_status(self, times: int | None) -> None:
        """Let each build have an undocumented status."""
        for build_id in self.builds:
            body = self.provider.status_response(build_id, "PAUSED")
            path = self.provider.poll_path(build_id)
            self.control.fault("status", method="GET", path=path, times=times, status=200, body=body)

    def start(self, action: str, **arguments: Any) -> None:
        """Set a fault for the next request that starts a build."""
        self.control.fault(action, method="POST", path=self.provider.start_path, **arguments)

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something a number of seconds after the fault has begun."""
        self._later.append((seconds, action))

    def start_timers(self) -> None:
        """Start the timers of what is to be done later."""
        self._timers = [threading.Timer(seconds, action) for seconds, action in self._later]
        for timer in self._timers:
            timer.start()
        self._later = []

    def retry_at(self) -> str:
        """Return the moment of ``Retry-After`` as an HTTP date: counted from the latest first poll."""
        # The server's own date is up to a second old.
        seconds = self.pace.retry_after + 1 + 2 * self.pace.poll_interval
        moment = datetime.now(timezone.utc) + timedelta(seconds=seconds)
        return format_datetime(moment, usegmt=True)

    def down(self) -> None:
        """Stop the server."""
        self.server.stop()
        self._down = True

    def up(self) -> None:
        """Start the server again."""
        if self._down:
            self.server.start()
            self._down = False

    def show_certificate(self, name: str) -> None:
        """Restart the server with another certificate.

        :param name: name of a file in the folder of its certificate.
        """
        shown = self.server.certificate
        if shown is not None:
            self.down()
            shutil.copyfile(shown.with_name(name), shown)
            self.up()

    def connect(self, host: str | None = None) -> None:
        """Set the Airflow connection.

        :param host: a host other than the server's.
        """
        os.environ.update(self._connection(host))

    def disconnect(self) -> None:
        """Remove the Airflow connection."""
        for name in self._connection(None):
            os.environ.pop(name, None)

    def _connection(self, host: str | None) -> dict[str, str]:
        return self.provider.connection(self.server, self.pace, tolerance=self._tolerance, host=host)

    def end_fault(self) -> None:
        """End the fault and count its hits."""
        for timer in self._timers:
            # Not canceled: a stopped server must be started again.
            timer.join()
        self._timers = []
        self.up()
        self.hits += sum(fault["hits"] for fault in self.control.faults())
        self.control.clear_faults()
        self.show_certificate("good.pem")
        self.connect()
