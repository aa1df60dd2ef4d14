"""How long an event loop was blocked, whatever else runs on the machine."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self

BEAT = 0.01


class _OtherThread(threading.Thread):
    """A thread that wakes up as often as the loop should and counts, to tell a blocked loop from a busy machine."""

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
    """Measures for how long the running event loop is blocked at most, in seconds, while its context is open.

    Between two wake-ups of a task that sleeps for 10 ms, the loop is blocked while its thread computes (CPU time), or
    while it sleeps and another thread keeps waking up. A busy machine does not count: it slows both threads.
    Older objects are excluded from garbage collection meanwhile, because searching them takes too long.
    """

    def __init__(self) -> None:
        self.longest = 0.0
        self._other_thread = _OtherThread()

    async def __aenter__(self) -> Self:
        gc.freeze()
        self._other_thread.start()
        self._task = asyncio.create_task(self._beat())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # The last block may have been the longest.
        await asyncio.sleep(2 * BEAT)
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        self._other_thread.end()
        gc.unfreeze()

    async def _beat(self) -> None:
        while True:
            computed, beats = time.thread_time(), self._other_thread.beats
            await asyncio.sleep(BEAT)
            slept = (self._other_thread.beats - beats - 1) * BEAT
            self.longest = max(self.longest, time.thread_time() - computed, slept)
