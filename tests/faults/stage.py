"""Where a fault is provoked: a server, the provider that it meets, and the pace at which both go."""

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

#: How many tasks, each with a build of its own, meet a fault together.
TASKS = 3
#: A loop that stands still for this many seconds keeps all other waiting tasks waiting.
BLOCKED = 0.1
#: A name that no resolver knows (RFC 2606).
NOWHERE = "metakraftwerk.invalid"


@dataclass(frozen=True)
class Pace:
    """How long things take, in seconds.

    :param minute: what stands for a minute.
    :param build: a build.
    :param poll_interval: the pause between two looks, or the longest one.
    :param read_timeout: this provider's; ``slow`` is longer.
    :param slow: a slow answer.
    :param retry_after: what a server asks for with ``Retry-After``; whole seconds.
    :param tolerance: this provider's ``outage_tolerance``.
    :param short_tolerance: the same, where a fault does not end by itself.
    :param patience: after so long a trigger that has sent nothing is taken to wait for ever.
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
        """How long a server is too busy to answer: less than it asks for with ``Retry-After``."""
        return 0.7 * self.retry_after

    def in_words(self, text: str) -> str:
        """Return a text with the times that stand in it in braces."""
        names = {"minute": self.minute, "busy": self.busy, "slow": self.slow}
        return text.format(**{name: f"{seconds:g} s" for name, seconds in names.items()})


class Server(Protocol):
    """A server that a fault can strike as a whole.

    :param control: sets its faults and reads what happened.
    :param certificate: the file that it shows on TLS; None where it speaks plain HTTP.
    """

    control: Control
    certificate: Path | None

    def start(self) -> None:
        """Serve again, on the same port and with the same state."""

    def stop(self) -> None:
        """End, and refuse connections."""


class Subject(Protocol):
    """A provider whose tasks meet the faults.

    :param start_path: glob of the path that starts a build.
    """

    start_path: str

    def forget(self) -> None:
        """Forget what only the server before its reset knows: its tokens."""

    def connection(self, server: Server, pace: Pace, *, tolerance: float, host: str | None) -> dict[str, str]:
        """Return the environment variable that is the Airflow connection.

        :param host: instead of the server's.
        """

    def operator(self, task_id: str, pace: Pace) -> Any:
        """Return an operator that starts a build and waits for it in the triggerer."""

    def hasten(self, trigger: Any, pace: Pace) -> None:
        """Set a trigger's poll interval where its operator offers no way to."""

    def build_id(self, trigger: Any) -> int:
        """Return which build a trigger waits for."""

    def poll_path(self, build_id: int) -> str:
        """Return the path by which the trigger looks at a build."""

    def look_alike(self, build_id: int, status: str) -> dict[str, Any]:
        """Return the answer to a look, with a status of one's own."""


class Stage:
    """One fault, met by the tasks of one provider.

    :param server: what they talk to.
    :param subject: whose tasks they are.
    :param pace: how fast all goes.
    :param tolerance: this provider's ``outage_tolerance``.
    :param jump: shifts the wall clock by so many seconds.
    """

    def __init__(
        self, server: Server, subject: Subject, pace: Pace, *, tolerance: float, jump: Callable[[float], None]
    ) -> None:
        self.server = server
        self.subject = subject
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
        """Set a fault for the looks at each build.

        :param times: how often for each build; None without limit.
        :param seconds: for how long, from the first look on.
        """
        for build_id in self.builds:
            path = self.subject.poll_path(build_id)
            self.control.fault(action, method="GET", path=path, times=times, seconds=seconds, **arguments)

    def strange_status(self, times: int | None) -> None:
        """Let each build show a status that is not documented."""
        for build_id in self.builds:
            body = self.subject.look_alike(build_id, "PAUSED")
            path = self.subject.poll_path(build_id)
            self.control.fault("status", method="GET", path=path, times=times, status=200, body=body)

    def start(self, action: str, **arguments: Any) -> None:
        """Set a fault for the next request that starts a build."""
        self.control.fault(action, method="POST", path=self.subject.start_path, **arguments)

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something so many seconds after the tasks have begun to meet the fault."""
        self._later.append((seconds, action))

    def begin(self) -> None:
        """Let the time run for what is to be done later."""
        self._timers = [threading.Timer(seconds, action) for seconds, action in self._later]
        for timer in self._timers:
            timer.start()
        self._later = []

    def retry_at(self) -> str:
        """Return the moment of ``Retry-After`` as an HTTP date: counted from the latest first look."""
        # The server's own date is up to a second old.
        seconds = self.pace.retry_after + 1 + 2 * self.pace.poll_interval
        moment = datetime.now(timezone.utc) + timedelta(seconds=seconds)
        return format_datetime(moment, usegmt=True)

    def down(self) -> None:
        """End the server."""
        self.server.stop()
        self._down = True

    def up(self) -> None:
        """Start the server again."""
        if self._down:
            self.server.start()
            self._down = False

    def show_certificate(self, name: str) -> None:
        """Restart the server with another certificate.

        :param name: of a file beside the certificate that it shows.
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
        os.environ.update(self.subject.connection(self.server, self.pace, tolerance=self._tolerance, host=host))

    def mend(self) -> None:
        """End the fault, and count whom it met."""
        for timer in self._timers:
            # Not cancelled: what is down must come up again.
            timer.join()
        self._timers = []
        self.up()
        self.hits += sum(fault["hits"] for fault in self.control.faults())
        self.control.clear_faults()
        self.show_certificate("good.pem")
        self.connect()
