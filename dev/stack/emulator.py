"""The emulator as a program of its own, for the demo, chaos and the end-to-end tests."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from dev.stack import processes, settings
from dev.stack.processes import Program
from mkw_airflow_provider.emulator import Control

#: Seconds that it may take to start.
START_TIMEOUT = 60.0


class EmulatorError(Exception):
    """The emulator did not start; the message holds the end of its log."""


class EmulatorProgram:
    """A local MetaKraftwerk on a free port, which stays the same when it is killed and started again.

    :param folder: where its state (`metakraftwerk.db`) and its log are.
    :param build_seconds: how long a build takes.
    """

    def __init__(self, folder: Path, *, build_seconds: float) -> None:
        self._folder = folder.resolve()
        #: Its control API: its log of requests, its state and its faults.
        self.control = Control(f"http://{settings.HOST}:{settings.free_port()}")
        self._program = Program(
            "metakraftwerk",
            [
                *[sys.executable, "-m", "mkw_airflow_provider.emulator", "--port", str(self.control.port)],
                *["--database", str(self._folder / "metakraftwerk.db"), "--build-seconds", str(build_seconds)],
                "--log-requests",
            ],
            folder=self._folder,
            environment={**os.environ, "PYTHONUNBUFFERED": "1"},
        )

    def start(self) -> None:
        """Start it with an empty state and wait until it responds.

        :raises EmulatorError: it ended, or did not respond in time.
        """
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        processes.end_leftovers(self._folder)
        for file in (*self._folder.glob("metakraftwerk.db*"), self.log):
            file.unlink(missing_ok=True)
        self.restart()

    def kill(self) -> None:
        """Kill it without warning."""
        processes.kill(self._program)

    def restart(self) -> None:
        """Start it again with the same state and wait until it responds.

        :raises EmulatorError: it ended, or did not respond in time.
        """
        self._program.start()
        processes.record(self._folder, [self._program])
        deadline = time.monotonic() + START_TIMEOUT
        while not self._responds():
            if self._program.exit_code is not None or time.monotonic() > deadline:
                raise EmulatorError(f"The emulator did not start; its log ends with:\n{self._program.tail()}")
            time.sleep(0.1)

    def stop(self) -> None:
        """End it."""
        processes.stop([self._program])
        (self._folder / processes.RECORD).unlink(missing_ok=True)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._program.pid

    @property
    def log(self) -> Path:
        """The file with its log of requests."""
        return self._program.log

    @property
    def url(self) -> str:
        """Its address."""
        return self.control.url

    @property
    def connection(self) -> dict[str, str]:
        """The environment variable that makes it Airflow's default connection to MetaKraftwerk."""
        return {"AIRFLOW_CONN_METAKRAFTWERK_DEFAULT": self.control.connection_json}

    def _responds(self) -> bool:
        try:
            return bool(self.control.health())
        except OSError:
            return False
