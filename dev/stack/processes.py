"""Programs in sessions of their own, so that whatever they fork can be found and ended again."""

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
    """One program with everything that it starts, and one file for what they print.

    :param name: what people call it.
    :param command: the command line.
    :param folder: where it runs; its log is `logs/NAME.log` in there.
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
        """Start it, with the log continued if there is one."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log, interrupts.held_back():
            self._process = subprocess.Popen(  # noqa: S603 - the commands are this module's callers' own
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
        """How it ended; None while it runs."""
        return self._process.poll() if self._process else None

    def tail(self, lines: int = 25) -> str:
        """Return the last lines of the log."""
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def members(self) -> set[int]:
        """Return the ids of the living processes of its session, its own among them."""
        if self._process is None:
            return set()
        self._process.poll()
        return _session(self._process.pid)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the program itself, not to what it started."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)


def stop(programs: Iterable[Program], *, grace: float = 3.0) -> None:
    """End programs and all that they started: asked first, killed after `grace` seconds. None is left on return."""
    started = [program for program in programs if program.members()]
    for program in started:
        program.signal(signal.SIGTERM)
    deadline = time.monotonic() + grace
    while time.monotonic() < deadline and any(program.members() for program in started):
        time.sleep(0.1)
    for program in started:
        kill(program)


def kill(program: Program) -> None:
    """End a program and all that it started, at once, as when its container dies."""
    # More than one round: a process may fork between the look and the kill.
    while members := program.members():
        _kill(members)
        time.sleep(0.05)


def record(folder: Path, programs: Iterable[Program]) -> None:
    """Write down which sessions belong to a folder, for `end_leftovers`."""
    (folder / RECORD).write_text(json.dumps({program.name: program.pid for program in programs}, indent=2))


def end_leftovers(folder: Path) -> None:
    """End what a run that was itself killed has left behind in this folder."""
    if not (folder / RECORD).exists():
        return
    for session in json.loads((folder / RECORD).read_text()).values():
        # The number may be another program's by now; the working folder tells them apart.
        while members := {pid for pid in _session(session) if _runs_in(pid, folder)}:
            _kill(members)
            time.sleep(0.05)
    (folder / RECORD).unlink()


def _session(number: int) -> set[int]:
    members = set()
    for pid in psutil.pids():
        # Processes come and go while they are counted, and some are not ours to ask.
        with contextlib.suppress(ProcessLookupError, PermissionError, psutil.Error):
            if os.getsid(pid) == number and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                members.add(pid)
    return members


def _runs_in(pid: int, folder: Path) -> bool:
    try:
        return Path(psutil.Process(pid).cwd()) == folder.resolve()
    except psutil.Error:
        return False


def _kill(pids: Iterable[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
