"""An emulator that is killed and restarted, keeping the faults that have not hit a request yet."""

from __future__ import annotations

import contextlib
import http.client
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from dev.stack.emulator import EmulatorError, EmulatorProgram
from mkw_airflow_provider.emulator import Control

T = TypeVar("T")

#: Seconds that the emulator stays down after a kill.
DOWN_SECONDS = 2.0
#: Seconds that it may take to respond, including a restart.
TIMEOUT = 60.0


@dataclass
class PendingFault:
    """A fault that waits for its request.

    :param settings: the arguments of `Control.fault`.
    :param fault_id: its id at the emulator, which changes with a restart.
    :param hits: how many requests it had hit when last asked.
    :param active: whether it still waits for requests.
    """

    settings: dict[str, Any]
    fault_id: int
    hits: int = 0
    active: bool = True


class ChaosEmulator(EmulatorProgram):
    """An emulator in a process of its own."""

    def __init__(self, folder: Path, *, build_seconds: float) -> None:
        super().__init__(folder, build_seconds=build_seconds)
        self._pending: list[PendingFault] = []
        # Held while the emulator is down, so that no fault is added to a dead process.
        self._lock = threading.RLock()

    def kill_and_restart(self) -> None:
        """Kill the emulator without warning and start it again a little later."""
        with self._lock:
            self._count_hits()
            self.kill()
            time.sleep(DOWN_SECONDS)
            self.restart()
            for pending in self._pending:
                if pending.active and not pending.hits:
                    pending.fault_id = self.control.fault(**pending.settings)["id"]

    @contextlib.contextmanager
    def kept_running(self) -> Iterator[Control]:
        """Let nobody kill the emulator for a while."""
        with self._lock:
            yield self.control

    def add_fault(
        self, method: str, path: str, response: Mapping[str, Any], *, skip: int = 0, times: int = 1
    ) -> PendingFault:
        """Add a fault that waits for requests."""
        settings = {"method": method, "path": path, "skip": skip, "times": times, **response}
        with self._lock:
            pending = PendingFault(settings, self.control.fault(**settings)["id"])
            self._pending.append(pending)
            return pending

    def remove_fault(self, pending: PendingFault) -> None:
        """Remove a fault, which would otherwise hit a request that it is not meant for."""
        with self._lock:
            self._count_hits()
            if pending.active and pending.fault_id in {fault["id"] for fault in self.control.faults()}:
                self.control.remove_fault(pending.fault_id)
            pending.active = False

    def hits(self, pending: PendingFault) -> int:
        """Return how many requests a fault has hit."""
        with self._lock:
            self._count_hits()
            return pending.hits

    def call(self, function: Callable[[Control], T]) -> T:
        """Call the emulator's control API, retrying while the emulator is down.

        :raises EmulatorError: it does not come back.
        """
        deadline = time.monotonic() + TIMEOUT
        while True:
            with contextlib.suppress(OSError, http.client.HTTPException):
                return function(self.control)
            if time.monotonic() > deadline:
                raise EmulatorError(f"The emulator does not respond. Its log: {self.log}")
            time.sleep(0.2)

    def requests(self, method: str, path: str) -> list[Mapping[str, Any]]:
        """Return the log of requests, oldest first."""
        return list(self.call(lambda control: control.requests(method, path)))

    def _count_hits(self) -> None:
        hits = {fault["id"]: fault["hits"] for fault in self.control.faults()}
        for pending in self._pending:
            pending.hits = max(pending.hits, hits.get(pending.fault_id, 0))
