"""How long an event loop stood still, whoever else uses the machine."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
import time
from types import TracebackType

BEAT = 0.01


class _Neighbour(threading.Thread):
    """A thread that wakes as often as the loop should, and counts: what it can do, the machine has time for."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.beats = 0
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.wait(BEAT):
            self.beats += 1

    def end(self) -> None:
        self._ended.set()
        self.join()


class Heartbeat:
    """Measures the longest stop of the running event loop, in seconds, while its context is open.

    Between two wake-ups of a task that sleeps for 10 ms, a stop is what the loop's thread computed (its CPU time), or
    what it slept through while a thread beside it went on waking. So a busy machine does not count: it slows both.
    What the process held before is kept from garbage collection meanwhile: to search it takes longer than a stop may.
    """

    def __init__(self) -> None:
        self.longest = 0.0
        self._neighbour = _Neighbour()

    async def __aenter__(self) -> Heartbeat:
        gc.freeze()
        self._neighbour.start()
        self._task = asyncio.create_task(self._beat())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # What came last may have been the longest.
        await asyncio.sleep(2 * BEAT)
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        self._neighbour.end()
        gc.unfreeze()

    async def _beat(self) -> None:
        while True:
            computed, beats = time.thread_time(), self._neighbour.beats
            await asyncio.sleep(BEAT)
            slept = (self._neighbour.beats - beats - 1) * BEAT
            self.longest = max(self.longest, time.thread_time() - computed, slept)
