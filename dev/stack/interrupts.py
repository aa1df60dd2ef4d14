"""Ctrl-C, SIGTERM and SIGHUP as one exception that is raised once, so that nothing interrupts the cleanup."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """A person or the system asked this process to stop.

    :param number: the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def raise_once() -> None:
    """Turn the first signal into `Interrupted` and ignore those that follow."""
    for number in SIGNALS:
        # `nohup` ignores SIGHUP.
        if not (number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN):
            signal.signal(number, _raise)


def stop_with_make() -> None:
    """Stop when `make` stops: make does not pass on a SIGKILL, nor an interrupt that only it received."""
    if "MAKELEVEL" in os.environ:
        threading.Thread(target=_watch_make, args=(os.getppid(),), daemon=True).start()


@contextlib.contextmanager
def delayed() -> Iterator[None]:
    """Delay signals until the block has ended, so that a process that was just started is recorded."""
    if threading.current_thread() is not threading.main_thread():
        # Only the main thread handles signals.
        yield
        return
    arrived: list[int] = []
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    for number, handler in handlers.items():
        if callable(handler):
            signal.signal(number, lambda received, _frame: arrived.append(received))
    try:
        yield
    finally:
        for number, handler in handlers.items():
            if callable(handler):
                signal.signal(number, handler)
        if arrived:
            signal.raise_signal(signal.Signals(arrived[0]))


def _watch_make(make: int) -> None:
    catching = _catches_interrupts(make)
    while os.getppid() == make and _catches_interrupts(make) == catching:
        time.sleep(0.5)
    # Sent to the main thread, which may sleep in a call that only a signal of its own interrupts.
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


def _catches_interrupts(pid: int) -> bool:
    """Whether a process has a handler for SIGINT; GNU make removes its own when it is interrupted."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        # Not Linux, or the process has ended.
        return False
    (caught,) = re.findall(r"^SigCgt:\s*([0-9a-f]+)$", status, re.MULTILINE)
    return bool(int(caught, 16) & 1 << (signal.SIGINT - 1))


def _raise(number: int, _frame: FrameType | None) -> None:
    for other in SIGNALS:
        signal.signal(other, signal.SIG_IGN)
    raise Interrupted(number)
