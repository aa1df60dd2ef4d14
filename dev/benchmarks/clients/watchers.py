"""Many watchers of one project in one event loop, with Airflow's own shared streams, as a triggerer runs them."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from importlib import import_module

from airflow.triggers.shared_stream import SharedStreamManager

from dev.benchmarks.clients import probes
from mkw_airflow_provider.triggers.events import BuildFinishedTrigger


async def measure(project: str, count: int, interval: float, seconds: float) -> dict[str, float]:
    """Watch for a while and return the CPU seconds that it took."""
    streams = SharedStreamManager(
        log=logging.getLogger("watchers"),  # type: ignore[arg-type]
        max_subscriber_queue=1024,
        ack_timeout=300.0,
        cohort_grace_period=0.0,
    )

    async def watch(number: int) -> None:
        trigger = BuildFinishedTrigger(asset=f"asset {number}", project=project, poll_interval=interval)
        stream = streams.subscribe(trigger_id=number, trigger=trigger, key=trigger.shared_stream_key())
        async for _ in trigger.filter_shared_stream(stream):
            pass

    cpu = probes.cpu()
    tasks = [asyncio.create_task(watch(number)) for number in range(count)]
    await asyncio.sleep(seconds)
    used = probes.cpu() - cpu
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await streams.stop_all()
    return {"cpu": used}


def main() -> None:
    """Run the job on standard input."""
    # Loading the client is not measured.
    import_module("mkw_airflow_provider.triggers.watch_builds")
    sys.stdout.write("\n" + json.dumps(asyncio.run(measure(**json.load(sys.stdin)))))


if __name__ == "__main__":
    main()
