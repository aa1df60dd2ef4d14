"""The emulator as a server that can be killed and comes back: same port, same state, same faults ahead."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from chaos.kinds import OUTAGE_TOLERANCE, READ_TIMEOUT, Kind
from demo import processes, settings
from demo.processes import Program
from mkw_airflow_provider.emulator import Control

T = TypeVar("T")

#: Seconds that the server stays away after a kill.
DOWN = 2.0
#: Seconds that it may take to answer, after a kill too.
PATIENCE = 60.0


class ServerError(Exception):
    """The emulator did not start or does not answer; the message holds the end of its log."""


@dataclass
class Armed:
    """A fault that waits for its request.

    :param order: the arguments of `Control.fault`.
    :param fault_id: what the server calls it; a server that comes back calls it otherwise.
    :param hits: as of the last look.
    """

    order: dict[str, Any]
    fault_id: int
    hits: int = 0


class Server:
    """A MetaKraftwerk in a process of its own.

    :param folder: where its state and its log are; both begin anew.
    :param build_seconds: how long a build takes.
    """

    def __init__(self, folder: Path, *, build_seconds: float) -> None:
        self.folder = folder.resolve()
        self.control = Control(f"http://{settings.HOST}:{settings.free_port()}")
        self._armed: list[Armed] = []
        # Held while it is away, so that nobody arms a fault that nobody hears of.
        self._lock = threading.RLock()
        self._program = Program(
            "metakraftwerk",
            [
                *[sys.executable, "-m", "mkw_airflow_provider.emulator", "--port", str(self.control.port)],
                *["--database", str(self.folder / "metakraftwerk.db"), "--build-seconds", str(build_seconds)],
                "--log-requests",
            ],
            folder=self.folder,
            environment={**os.environ, "PYTHONUNBUFFERED": "1"},
        )

    @property
    def log(self) -> Path:
        """The file with its log of requests."""
        return self._program.log

    @property
    def connection(self) -> dict[str, str]:
        """The environment variable that makes it Airflow's default connection, with short time-outs."""
        extra = {"read_timeout": READ_TIMEOUT, "outage_tolerance": OUTAGE_TOLERANCE}
        return {"AIRFLOW_CONN_METAKRAFTWERK_DEFAULT": json.dumps({**self.control.connection, "extra": extra})}

    def start(self) -> None:
        """Start it in its first state.

        :raises ServerError: it did not serve in time.
        """
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        processes.end_leftovers(self.folder)
        for file in (*self.folder.glob("metakraftwerk.db*"), self.log):
            file.unlink(missing_ok=True)
        self._start()

    def stop(self) -> None:
        """End it."""
        processes.stop([self._program])
        (self.folder / processes.RECORD).unlink(missing_ok=True)

    def die_and_return(self) -> None:
        """Kill it without warning, and start it again a little later with the faults that have not hit yet."""
        with self._lock:
            self._look()
            processes.kill(self._program)
            time.sleep(DOWN)
            self._start()
            for armed in self._armed:
                if not armed.hits:
                    armed.fault_id = self.control.fault(**armed.order)["id"]

    def arm(self, kind: Kind, method: str, path: str) -> Armed | None:
        """Let a kind's fault wait for requests; None for a kind that has none."""
        if kind.fault is None:
            return None
        order = {"method": method, "path": path, "skip": kind.skip, "times": kind.times, **kind.fault}
        with self._lock:
            armed = Armed(order, self.control.fault(**order)["id"])
            self._armed.append(armed)
            return armed

    def hits(self, armed: Armed) -> int:
        """Return how many requests a fault has hit."""
        with self._lock:
            self._look()
            return armed.hits

    def ask(self, question: Callable[[Control], T]) -> T:
        """Ask the control something, also while the server is away for a moment.

        :raises ServerError: it stays away.
        """
        deadline = time.monotonic() + PATIENCE
        while True:
            with contextlib.suppress(OSError, http.client.HTTPException):
                return question(self.control)
            if time.monotonic() > deadline:
                raise ServerError(f"The emulator does not answer; its log ends with:\n{self._program.tail()}")
            time.sleep(0.2)

    def requests(self, method: str, path: str) -> list[Mapping[str, Any]]:
        """Return the log of requests, oldest first."""
        return list(self.ask(lambda control: control.requests(method, path)))

    def _look(self) -> None:
        hits = {fault["id"]: fault["hits"] for fault in self.control.faults()}
        for armed in self._armed:
            armed.hits = max(armed.hits, hits.get(armed.fault_id, 0))

    def _start(self) -> None:
        self._program.start()
        processes.record(self.folder, [self._program])
        deadline = time.monotonic() + PATIENCE
        while not self._serves():
            if self._program.exit_code is not None or time.monotonic() > deadline:
                raise ServerError(f"The emulator did not start; its log ends with:\n{self._program.tail()}")
            time.sleep(0.1)

    def _serves(self) -> bool:
        try:
            return bool(self.control.health())
        except OSError:
            return False
