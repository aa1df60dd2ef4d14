"""Ctrl-C, SIGTERM and SIGHUP as one exception that is raised once, so that the way out is never cut short."""

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
    """A person or the system asked to stop.

    :param number: the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def raise_once() -> None:
    """Turn the first signal into `Interrupted`; those that follow are ignored."""
    for number in SIGNALS:
        # `nohup` asks for this by ignoring it.
        if not (number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN):
            signal.signal(number, _raise)


def follow_make() -> None:
    """End when `make` is to end: killed it cannot tell its recipe, and interrupted alone it tells it nothing."""
    if "MAKELEVEL" in os.environ:
        threading.Thread(target=_follow, args=(os.getppid(),), daemon=True).start()


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """Let signals wait until the block has ended: a process that was just started must not get lost."""
    if threading.current_thread() is not threading.main_thread():
        # Signals are handled in the main thread only.
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


def _follow(make: int) -> None:
    catching = _catches_interrupts(make)
    while os.getppid() == make and _catches_interrupts(make) == catching:
        time.sleep(0.5)
    # To the main thread itself: it may sleep in a call that only its own signals end.
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


def _catches_interrupts(pid: int) -> bool:
    """Whether a process has a handler for SIGINT; GNU make gives its own up when it is interrupted."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        # No Linux, or the process is gone.
        return False
    (caught,) = re.findall(r"^SigCgt:\s*([0-9a-f]+)$", status, re.MULTILINE)
    return bool(int(caught, 16) & 1 << (signal.SIGINT - 1))


def _raise(number: int, _frame: FrameType | None) -> None:
    for other in SIGNALS:
        signal.signal(other, signal.SIG_IGN)
    raise Interrupted(number)
