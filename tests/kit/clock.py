"""The clock of all tests: simulated, real, or faster than real."""

from __future__ import annotations

import asyncio
import math
import selectors
import time
from collections.abc import Callable, Coroutine
from typing import Any

#: Where the wall clock of a simulation starts: 2026-04-02T08:00:00Z.
NIGHT = 1_775_116_800.0


class Clock:
    """A monotonic clock and a wall clock.

    :param rate: how many of its seconds pass in a real one. With 0, time passes only in :meth:`sleep` and
        :meth:`advance`, so that a test neither waits nor depends on the speed of the machine.
    """

    def __init__(self, rate: float = 0.0) -> None:
        #: How long each call of :meth:`sleep` was.
        self.pauses: list[float] = []
        #: Called one by one, each during a sleep: what changes on the server while the client waits.
        self.meanwhile: list[Callable[[], object]] = []
        self._rate = rate
        self._real = time.monotonic
        self._began = time.monotonic()
        self._wall_began = time.time() if rate else NIGHT
        self._advanced = 0.0
        self._jumped = 0.0

    @property
    def elapsed(self) -> float:
        """Return the seconds since this clock was made."""
        return self._rate * (self._real() - self._began) + self._advanced

    def monotonic(self) -> float:
        """Return the time of the clock that never jumps."""
        return 1_000.0 + self.elapsed

    def wall(self) -> float:
        """Return the time as seconds since the epoch."""
        return self._wall_began + self.elapsed + self._jumped

    def advance(self, seconds: float) -> None:
        """Let time pass on both clocks."""
        assert seconds >= 0, f"a pause of {seconds} s"
        # A pause that is too short for a float passes all the same.
        self._advanced = max(self._advanced + seconds, math.nextafter(self._advanced, math.inf) if seconds else 0.0)

    def sleep(self, seconds: float) -> None:
        """Let time pass as a pause of the client."""
        self.pauses.append(seconds)
        self.advance(seconds)
        if self.meanwhile:
            self.meanwhile.pop(0)()

    def jump(self, seconds: float) -> None:
        """Set the wall clock to another time."""
        self._jumped += seconds


class _FastSelector(selectors.DefaultSelector):
    def __init__(self, rate: float) -> None:
        super().__init__()
        self._rate = rate

    def select(self, timeout: float | None = None) -> Any:
        return super().select(timeout and timeout / self._rate)


class _FastLoop(asyncio.SelectorEventLoop):
    def __init__(self, rate: float) -> None:
        super().__init__(_FastSelector(rate))
        self._rate = rate

    def time(self) -> float:
        return super().time() * self._rate


def run_fast(coroutine: Coroutine[Any, Any, Any], rate: float) -> Any:
    """Run a coroutine on an event loop whose time passes faster, so that idle connections age faster, too."""
    loop = _FastLoop(rate)
    try:
        return loop.run_until_complete(coroutine)
    finally:
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
