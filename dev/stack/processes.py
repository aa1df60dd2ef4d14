"""Programs in sessions of their own, so that everything they fork can be found and ended."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import psutil

from dev.stack import interrupts

RECORD = "processes.json"


class Program:
    """One program with everything that it starts, and one log file for their output.

    :param name: its name in messages.
    :param command: the command line.
    :param folder: its working folder; its log is `logs/NAME.log` in it.
    :param environment: all of its environment variables.
    """

    def __init__(self, name: str, command: Sequence[str], *, folder: Path, environment: Mapping[str, str]) -> None:
        self.name = name
        self.command = list(command)
        self.folder = folder
        self.environment = dict(environment)
        self.log = folder / "logs" / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and append to its log."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log, interrupts.delayed():
            self._process = subprocess.Popen(  # noqa: S603 - the commands come from this project
                self.command,
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process id, which is the id of its session too."""
        if self._process is None:
            raise RuntimeError(f"{self.name} was never started.")
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """Its exit code; None while it is running."""
        return self._process.poll() if self._process else None

    def tail(self, lines: int = 25) -> str:
        """Return the last lines of the log."""
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def members(self) -> set[int]:
        """Return the ids of the running processes of its session, its own included."""
        if self._process is None:
            return set()
        self._process.poll()
        return _session(self._process.pid)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the program itself, not to what it started."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)


def stop(programs: Iterable[Program], *, grace: float = 3.0) -> None:
    """End programs and everything they started: SIGTERM first, SIGKILL after `grace` seconds. None is left."""
    started = [program for program in programs if program.members()]
    for program in started:
        program.signal(signal.SIGTERM)
    deadline = time.monotonic() + grace
    while time.monotonic() < deadline and any(program.members() for program in started):
        time.sleep(0.1)
    for program in started:
        kill(program)


def kill(program: Program) -> None:
    """Kill a program and everything it started, as when its container dies."""
    # Repeated, because a process may fork between the listing and the kill.
    while members := program.members():
        _kill(members)
        time.sleep(0.05)


def record(folder: Path, programs: Iterable[Program]) -> None:
    """Record which sessions belong to a folder, for `end_leftovers`."""
    (folder / RECORD).write_text(json.dumps({program.name: program.pid for program in programs}, indent=2))


def end_leftovers(folder: Path) -> None:
    """End what a run that was itself killed has left running in this folder."""
    if not (folder / RECORD).exists():
        return
    for session in json.loads((folder / RECORD).read_text()).values():
        # The id may belong to another program by now; the working folder tells them apart.
        while members := {pid for pid in _session(session) if _runs_in(pid, folder)}:
            _kill(members)
            time.sleep(0.05)
    (folder / RECORD).unlink()


def by_session() -> dict[int, set[int]]:
    """Return the ids of all processes by their session, which is that of the program that started them."""
    sessions: dict[int, set[int]] = {}
    for pid in psutil.pids():
        # Processes start and end meanwhile, and some belong to other users.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            sessions.setdefault(os.getsid(pid), set()).add(pid)
    return sessions


def _session(number: int) -> set[int]:
    return {pid for pid in by_session().get(number, ()) if _is_running(pid)}


def _is_running(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _runs_in(pid: int, folder: Path) -> bool:
    try:
        return Path(psutil.Process(pid).cwd()) == folder.resolve()
    except psutil.Error:
        return False


def _kill(pids: Iterable[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
