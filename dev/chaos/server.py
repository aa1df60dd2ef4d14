"""The emulator as a server that dies and comes back with the faults that have not hit yet."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from dev.chaos.kinds import OUTAGE_TOLERANCE, READ_TIMEOUT
from dev.stack.emulator import EmulatorError, EmulatorProgram
from mkw_airflow_provider.emulator import Control

T = TypeVar("T")

#: Seconds that the server stays away after a kill.
DOWN = 2.0
#: Seconds that it may take to answer, after a kill too.
PATIENCE = 60.0


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


class Server(EmulatorProgram):
    """A MetaKraftwerk in a process of its own, whose connection has short time-outs."""

    def __init__(self, folder: Path, *, build_seconds: float) -> None:
        super().__init__(folder, build_seconds=build_seconds)
        self._armed: list[Armed] = []
        # Held while it is away, so that nobody arms a fault that nobody hears of.
        self._lock = threading.RLock()

    @property
    def connection(self) -> dict[str, str]:
        """The environment variable that makes it Airflow's default connection to MetaKraftwerk."""
        extra = {"read_timeout": READ_TIMEOUT, "outage_tolerance": OUTAGE_TOLERANCE}
        return {"AIRFLOW_CONN_METAKRAFTWERK_DEFAULT": json.dumps({**self.control.connection, "extra": extra})}

    def die_and_return(self) -> None:
        """Kill it without warning, and start it again a little later."""
        with self._lock:
            self._look()
            self.kill()
            time.sleep(DOWN)
            self.restart()
            for armed in self._armed:
                if not armed.hits:
                    armed.fault_id = self.control.fault(**armed.order)["id"]

    def arm(self, method: str, path: str, fault: Mapping[str, Any], *, skip: int = 0, times: int = 1) -> Armed:
        """Let a fault wait for requests."""
        order = {"method": method, "path": path, "skip": skip, "times": times, **fault}
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

        :raises EmulatorError: it stays away.
        """
        deadline = time.monotonic() + PATIENCE
        while True:
            with contextlib.suppress(OSError, http.client.HTTPException):
                return question(self.control)
            if time.monotonic() > deadline:
                raise EmulatorError(f"The emulator does not answer any more. Its log: {self.log}")
            time.sleep(0.2)

    def requests(self, method: str, path: str) -> list[Mapping[str, Any]]:
        """Return the log of requests, oldest first."""
        return list(self.ask(lambda control: control.requests(method, path)))

    def _look(self) -> None:
        hits = {fault["id"]: fault["hits"] for fault in self.control.faults()}
        for armed in self._armed:
            armed.hits = max(armed.hits, hits.get(armed.fault_id, 0))
