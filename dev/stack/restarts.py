"""Components of Airflow that end by themselves are started again, as by systemd or Kubernetes."""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import AbstractContextManager

from dev.stack.airflow import AirflowStack

#: Seconds between two checks.
INTERVAL = 1.0


class Restarts:
    """Restarts the components of an Airflow that have ended.

    :param stack: the Airflow.
    :param lock: held during each check, so that what was killed on purpose is left to those who did it.
    """

    def __init__(self, stack: AirflowStack, lock: AbstractContextManager[object]) -> None:
        self._stack = stack
        self._lock = lock
        #: How often each component was restarted.
        self.counts: Counter[str] = Counter()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="restart-ended", daemon=True)

    def start(self) -> None:
        """Start checking."""
        self._thread.start()

    def stop(self) -> None:
        """Stop checking, so that components can be stopped."""
        self._stopped.set()
        if self._thread.is_alive():
            # Somebody who replaces a component may hold the lock for long.
            self._thread.join(timeout=10.0)

    def _run(self) -> None:
        while not self._stopped.wait(INTERVAL):
            with self._lock:
                if not self._stopped.is_set():
                    self.counts.update(self._stack.start_ended())
