"""A triggerer that waits for thousands of builds: the memory of each one beyond the first hundred."""

from __future__ import annotations

import asyncio
import gc
import json
import sys
from typing import Any

from dev.benchmarks.clients import probes, waiters

#: The first builds: everything that triggers share exists when they wait.
FIRST = 100


async def measure(kind: str, url: str, count: int, interval: float, settled: float) -> dict[str, float]:
    """Wait for ``count`` builds; read the memory when a hundred wait and when all wait.

    :param kind: a trigger of :data:`~dev.benchmarks.clients.triggers.KINDS`, or a loop of :mod:`~.floor`.
    :param interval: the longest pause in seconds.
    :param settled: seconds of waiting before the memory is read.
    """
    heart = probes.Heartbeat()
    beating = asyncio.create_task(heart.run())
    memory: list[int] = []
    tasks: list[asyncio.Task[bool]] = []
    pool: Any = None
    probes.reset_peak()
    for numbers in (range(1, FIRST + 1), range(FIRST + 1, count + 1)):
        coroutines, pool = waiters.waiters(kind, url, numbers, interval, pool)
        tasks += [asyncio.create_task(coroutine) for coroutine in coroutines]
        await asyncio.sleep(settled)
        gc.collect()
        memory.append(probes.memory())
    ended = await asyncio.gather(*tasks)
    beating.cancel()
    if pool is not None:
        await pool.close()
    return {
        "memory": (memory[1] - memory[0]) / (count - FIRST),
        "peak_memory": (probes.peak_memory() - memory[0]) / (count - FIRST),
        "failures": ended.count(False),
        **heart.figures(),
    }


def main() -> None:
    """Run the job on standard input."""
    job = json.load(sys.stdin)
    waiters.prepare(job["kind"], job["url"])
    sys.stdout.write(json.dumps(asyncio.run(measure(**job))))


if __name__ == "__main__":
    main()
