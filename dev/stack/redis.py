"""A Redis server in a folder of its own, on a free port of the loopback interface."""

from __future__ import annotations

import os
import shutil
import socket
import time
from pathlib import Path

from dev.stack import processes, settings
from dev.stack.processes import Program

#: Seconds that it may take to start.
START_TIMEOUT = 30.0


class RedisError(Exception):
    """Redis did not start; the message holds the end of its log."""


def is_installed() -> bool:
    """Whether Redis is there."""
    return shutil.which("redis-server") is not None


class RedisServer:
    """A server that stores nothing on disk: a restart loses what is in its queues, as the worst setup of a site does.

    :param folder: its folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._port = settings.free_port()
        options = {"port": self._port, "bind": settings.HOST, "dir": self._folder, "save": "", "appendonly": "no"}
        self.program = Program(
            "redis",
            ["redis-server", *(part for name, value in options.items() for part in (f"--{name}", str(value)))],
            folder=self._folder,
            environment=os.environ,
        )

    @property
    def url(self) -> str:
        """Its address."""
        return f"redis://{settings.HOST}:{self._port}/0"

    def start(self) -> None:
        """Start it empty, and wait until it responds.

        :raises RedisError: it ended, or did not respond in time.
        """
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        processes.end_leftovers(self._folder)
        self.program.start()
        processes.record(self._folder, [self.program])
        deadline = time.monotonic() + START_TIMEOUT
        while not self._responds():
            if self.program.exit_code is not None or time.monotonic() > deadline:
                raise RedisError(f"Redis did not start; its log ends with:\n{self.program.tail()}")
            time.sleep(0.1)

    def stop(self) -> None:
        """Kill it."""
        processes.kill(self.program)
        (self._folder / processes.RECORD).unlink(missing_ok=True)

    def _responds(self) -> bool:
        try:
            with socket.create_connection((settings.HOST, self._port), timeout=1.0) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False
