"""What a process measures of itself: CPU seconds, memory, open files and the lag of its event loop."""

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


def reset_peak() -> None:
    """Reset the peak of memory. The peak of ``getrusage`` cannot be reset and includes that of the parent process."""
    Path("/proc/self/clear_refs").write_text("5")


def peak_memory() -> int:
    """Return the most bytes of memory that this process has occupied since the peak was reset."""
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
    """A task that wakes up every 10 ms and records how late it was and how much CPU the loop used meanwhile.

    Lag is wall time, which includes other programs; busy is CPU time of the loop's own thread, which does not.
    """

    def __init__(self) -> None:
        self.lags: list[float] = []
        self.busy: list[float] = []

    async def run(self) -> None:
        """Run until canceled."""
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
