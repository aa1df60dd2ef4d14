"""Many waiting triggers of one kind: what a poll costs when all have started and none ends."""

from __future__ import annotations

import asyncio
import json
import sys

from dev.benchmarks.clients import probes, waiters
from dev.benchmarks.servers.process import ServerProcess

#: Seconds between two checks whether all have started.
CHECK_INTERVAL = 0.5
#: Polls of each trigger before the measurement begins: the first ones belong to the start.
STARTED = 3


async def measure(
    kind: str, url: str, count: int, interval: float, window: float, *, heartbeat: bool = False
) -> dict[str, float]:
    """Wait for builds 1 to ``count`` and measure for a while.

    :param window: duration of the measurement in seconds.
    :param heartbeat: measure the lag of the event loop, which itself costs CPU.
    """
    coroutines, pool = waiters.waiters(kind, url, range(1, count + 1), interval)
    tasks = waiters.started(coroutines, interval)
    server = ServerProcess(url, None)

    async def polls() -> int:
        return (await asyncio.to_thread(server.counts))["polls"]

    while await polls() < STARTED * count:  # noqa: ASYNC110  # counted by another process
        await asyncio.sleep(CHECK_INTERVAL)
    heart = probes.Heartbeat()
    beating = asyncio.create_task(heart.run()) if heartbeat else None
    before = await polls()
    cpu = probes.cpu()
    await asyncio.sleep(window)
    cpu = probes.cpu() - cpu
    asked = await polls() - before
    if beating is not None:
        beating.cancel()
    failures = sum(task.done() for task in tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    if pool is not None:
        await pool.close()
    return {"cpu": cpu / asked, "failures": failures, **(heart.figures() if heartbeat else {})}


def main() -> None:
    """Run the job on standard input."""
    job = json.load(sys.stdin)
    waiters.prepare(job["kind"], job["url"])
    figures = asyncio.run(measure(**job))
    sys.stdout.write("\n" + json.dumps(figures))


if __name__ == "__main__":
    main()
