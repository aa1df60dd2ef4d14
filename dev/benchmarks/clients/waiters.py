"""Many triggers of one kind in one event loop, as a triggerer runs them; or bare polling loops as the floor."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
from collections.abc import Coroutine, Sequence
from typing import Any

from dev.benchmarks.clients import floor, probes, triggers

#: The build of the warm-up trigger, so that imports and first use are not measured.
WARM_UP = 900_000


def prepare(kind: str, url: str) -> None:
    """Log as a triggerer does (INFO lines as JSON), but to /dev/null; and let dbt Cloud's hook use HTTP."""
    if kind in floor.POOLS and kind != floor.AS_TRIGGER:
        return
    # Imported here, because the floor runs without Airflow.
    import airflow.triggers.base  # noqa: F401  # every trigger loads it
    from airflow.sdk.log import configure_logging

    configure_logging(json_output=True, output=open(os.devnull, "wb"))  # noqa: SIM115  # open until the process ends
    if kind == "dbt-cloud" and url.startswith("http:"):
        triggers.allow_plain_http()


async def run_trigger(kind: str, number: int, interval: float) -> bool:
    """Run a trigger as Airflow's own runner does, and return whether its event reports success."""
    async for event in triggers.make(kind, number, interval).run():
        if not triggers.succeeded(kind, event.payload):
            sys.stderr.write(f"{kind} {number}: {event.payload}\n")
            return False
        return True
    return False


async def in_portal(waiter: Coroutine[Any, Any, bool]) -> bool:
    """Run a waiter in the portal that Airflow's runner gives each trigger."""
    # Imported here, because the floor runs without Airflow.
    import greenback

    await greenback.ensure_portal()
    return await waiter


async def later(delay: float, waiter: Coroutine[Any, Any, bool]) -> bool:
    """Run a waiter after a delay in seconds."""
    await asyncio.sleep(delay)
    return await waiter


def waiters(
    kind: str, url: str, numbers: range, interval: float, pool: Any = None
) -> tuple[list[Coroutine[Any, Any, bool]], Any]:
    """Return coroutines that wait for builds, and the pool to close afterward.

    :param pool: what an earlier call returned, to share its connections.
    """
    if kind not in floor.POOLS:
        return [in_portal(run_trigger(kind, number, interval)) for number in numbers], None
    pool = floor.POOLS[kind](url) if pool is None else pool
    bare = [floor.wait(pool, number, interval) for number in numbers]
    return [in_portal(waiter) for waiter in bare] if kind == floor.AS_TRIGGER else bare, pool


def started(coroutines: Sequence[Coroutine[Any, Any, bool]], spread: float) -> list[asyncio.Task[bool]]:
    """Start coroutines, spread evenly over a number of seconds."""
    return [asyncio.create_task(later(spread * i / len(coroutines), waiter)) for i, waiter in enumerate(coroutines)]


async def measure(
    kind: str, url: str, count: int, interval: float, *, spread: float, heartbeat: bool
) -> dict[str, float]:
    """Wait for builds 1 to ``count`` at the same time.

    :param spread: seconds over which the starts are spread evenly.
    :param heartbeat: measure the lag of the event loop, which itself costs CPU.
    """
    warm, pool = waiters(kind, url, range(WARM_UP, WARM_UP + 1), 0.05)
    warm_failures = 1 - sum(await asyncio.gather(*warm))
    if pool is not None:
        await pool.close()
    gc.collect()
    heart = probes.Heartbeat()
    beating = asyncio.create_task(heart.run()) if heartbeat else None
    if beating is not None:
        await asyncio.sleep(0.1)
        heart.lags.clear()
        heart.busy.clear()
    probes.reset_peak()
    cpu, memory = probes.cpu(), probes.memory()
    coroutines, pool = waiters(kind, url, range(1, count + 1), interval)
    ended = await asyncio.gather(*started(coroutines, spread))
    figures = {
        "cpu": probes.cpu() - cpu,
        "memory": (probes.peak_memory() - memory) / count,
        "failures": warm_failures + ended.count(False),
    }
    if beating is not None:
        beating.cancel()
        figures |= heart.figures()
    if pool is not None:
        await pool.close()
    return figures


def main() -> None:
    """Run the job on standard input."""
    job = json.load(sys.stdin)
    prepare(job["kind"], job["url"])
    figures = asyncio.run(measure(**job))
    sys.stdout.write(json.dumps(figures))


if __name__ == "__main__":
    main()
