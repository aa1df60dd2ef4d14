"""Many triggers of one kind that wait: what a poll costs when all have started, and none ends."""

from __future__ import annotations

import asyncio
import json
import sys

from dev.benchmarks.clients import probes, waiters
from dev.benchmarks.servers.process import ServerProcess

#: Seconds between two looks at whether all have started.
LOOK = 0.5
#: Each trigger has polled so often before it is measured: the first polls follow the start.
STARTED = 3


async def measure(kind: str, url: str, count: int, interval: float, window: float) -> dict[str, float]:
    """Wait for builds 1 to ``count``, and measure for a while.

    :param window: seconds for which it is measured.
    """
    coroutines, pool = waiters.waiters(kind, url, range(1, count + 1), interval)
    tasks = waiters.started(coroutines, interval)
    server = ServerProcess(url, None)

    async def polls() -> int:
        return (await asyncio.to_thread(server.counts))["polls"]

    while await polls() < STARTED * count:  # noqa: ASYNC110  # of another process
        await asyncio.sleep(LOOK)
    before = await polls()
    cpu = probes.cpu()
    await asyncio.sleep(window)
    cpu = probes.cpu() - cpu
    asked = await polls() - before
    failures = sum(task.done() for task in tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    if pool is not None:
        pool.close()
    return {"cpu": cpu / asked, "failures": failures}


def main() -> None:
    """Do what the JSON on standard input says."""
    order = json.load(sys.stdin)
    if order["kind"] != "floor":
        waiters.prepare(order["kind"], order["url"])
    figures = asyncio.run(measure(**order))
    sys.stdout.write("\n" + json.dumps(figures))


if __name__ == "__main__":
    main()
