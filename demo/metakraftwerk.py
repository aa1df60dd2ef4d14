"""The emulator as a program of its own: the MetaKraftwerk that the demo and the end-to-end tests talk to."""

from __future__ import annotations

import os
import re
import sys
import time
from pathlib import Path

from demo import processes
from demo.processes import Program
from mkw_airflow_provider.emulator import Control

_URL = re.compile(r"http://127\.0\.0\.1:\d+")


class EmulatorError(Exception):
    """The emulator did not start; the message holds the end of its log."""


class EmulatorProgram:
    """A local MetaKraftwerk on a free port.

    :param folder: where its state (`metakraftwerk.db`) and its log are; both begin anew.
    :param build_seconds: how long a build takes.
    """

    def __init__(self, folder: Path, *, build_seconds: float) -> None:
        self._folder = folder.resolve()
        self._state = self._folder / "metakraftwerk.db"
        self._program = Program(
            "metakraftwerk",
            [
                *[sys.executable, "-m", "mkw_airflow_provider.emulator", "--port", "0"],
                *["--build-seconds", str(build_seconds), "--database", str(self._state), "--log-requests"],
            ],
            folder=self._folder,
            environment={**os.environ, "PYTHONUNBUFFERED": "1"},
        )

    def start(self, *, timeout: float = 60.0) -> None:
        """Start it and wait until it serves.

        :param timeout: seconds until giving up.
        :raises EmulatorError: it ended, or did not serve in time.
        """
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        processes.end_leftovers(self._folder)
        for file in (*self._folder.glob("metakraftwerk.db*"), self.log):
            file.unlink(missing_ok=True)
        self._program.start()
        processes.record(self._folder, [self._program])
        deadline = time.monotonic() + timeout
        while not self._serves():
            if self._program.exit_code is not None or time.monotonic() > deadline:
                raise EmulatorError(f"The emulator did not start; its log ends with:\n{self._program.tail()}")
            time.sleep(0.1)

    def stop(self) -> None:
        """End it."""
        processes.stop([self._program])
        (self._folder / processes.RECORD).unlink(missing_ok=True)

    @property
    def log(self) -> Path:
        """The file with its log of requests."""
        return self._program.log

    @property
    def url(self) -> str:
        """Its address, which it prints first."""
        found = _URL.search(self.log.read_text())
        if not found:
            raise EmulatorError("The emulator does not serve yet.")
        return found[0]

    @property
    def control(self) -> Control:
        """What happened there, and how it behaves from now on."""
        return Control(self.url)

    @property
    def connection(self) -> dict[str, str]:
        """The environment variable that makes it Airflow's default connection to MetaKraftwerk."""
        return {"AIRFLOW_CONN_METAKRAFTWERK_DEFAULT": self.control.connection_json}

    def _serves(self) -> bool:
        try:
            return bool(self.control.health())
        except (EmulatorError, OSError):
            return False
