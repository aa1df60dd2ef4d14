"""A triggerer that thousands of builds are waited for in: what each costs in memory beyond the first hundred."""

from __future__ import annotations

import asyncio
import gc
import json
import sys

from dev.benchmarks.clients import probes, waiters

#: The first builds: what is shared by all is there when they wait.
FIRST = 100


async def measure(url: str, count: int, interval: float, settled: float) -> dict[str, float]:
    """Wait for ``count`` builds, and read the memory when a hundred and when all are waited for.

    :param interval: the longest pause, in seconds.
    :param settled: seconds for which the first and then all wait before the memory is read.
    """
    heart = probes.Heartbeat()
    beating = asyncio.create_task(heart.run())
    memory: list[int] = []
    tasks: list[asyncio.Task[bool]] = []
    probes.forget_peak()
    for numbers in (range(1, FIRST + 1), range(FIRST + 1, count + 1)):
        coroutines, _ = waiters.waiters("metakraftwerk", url, numbers, interval)
        tasks += [asyncio.create_task(coroutine) for coroutine in coroutines]
        await asyncio.sleep(settled)
        gc.collect()
        memory.append(probes.memory())
    ended = await asyncio.gather(*tasks)
    beating.cancel()
    return {
        "memory": (memory[1] - memory[0]) / (count - FIRST),
        "peak_memory": (probes.peak_memory() - memory[0]) / (count - FIRST),
        "failures": ended.count(False),
        **heart.figures(),
    }


def main() -> None:
    """Do what the JSON on standard input says."""
    order = json.load(sys.stdin)
    waiters.prepare("metakraftwerk", order["url"])
    sys.stdout.write(json.dumps(asyncio.run(measure(**order))))


if __name__ == "__main__":
    main()
