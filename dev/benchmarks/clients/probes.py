"""What a process can say of itself: CPU seconds, memory, open files, and how free its event loop is."""

from __future__ import annotations

import asyncio
import os
import resource
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

#: Seconds between two wake-ups of the heartbeat.
BEAT = 0.01

_process = psutil.Process()


def cpu() -> float:
    """Return the CPU seconds of this process so far, user and system, all threads."""
    return time.process_time()


def children_cpu() -> float:
    """Return the CPU seconds of the ended children of this process."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def memory() -> int:
    """Return the bytes of memory that this process occupies now."""
    return int(_process.memory_info().rss)


def forget_peak() -> None:
    """Let the peak begin anew. The one of ``getrusage`` cannot: it even begins with that of the parent process."""
    Path("/proc/self/clear_refs").write_text("5")


def peak_memory() -> int:
    """Return the most bytes of memory that this process has occupied since the peak was forgotten."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.partition("VmHWM:")[2].split(maxsplit=1)[0])


def open_files() -> int:
    """Return how many file descriptors this process has open."""
    return len(os.listdir("/proc/self/fd"))


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that a share of the values does not exceed; 0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


class Heartbeat:
    """A task that wakes up every 10 ms, and notes how late it was and how much CPU the loop has spent meanwhile.

    Lag is wall time, in which other programs show too; busy is CPU time of the loop's own thread, in which they do not.
    """

    def __init__(self) -> None:
        self.lags: list[float] = []
        self.busy: list[float] = []

    async def run(self) -> None:
        """Beat until cancelled."""
        while True:
            wall, thread = time.perf_counter(), time.thread_time()
            await asyncio.sleep(BEAT)
            self.lags.append(time.perf_counter() - wall - BEAT)
            self.busy.append(time.thread_time() - thread)

    def figures(self) -> dict[str, float]:
        """Return the 99th percentile and the maximum of both, in seconds."""
        return {
            "lag_p99": percentile(self.lags, 0.99),
            "lag_max": max(self.lags, default=0.0),
            "busy_p99": percentile(self.busy, 0.99),
            "busy_max": max(self.busy, default=0.0),
        }
