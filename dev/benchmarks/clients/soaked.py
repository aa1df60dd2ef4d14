"""A process like a triggerer that waits for each build whose id it reads, and prints samples of itself."""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
import traceback

from dev.benchmarks.clients import probes, waiters

#: Seconds between two samples.
SAMPLE = 2.0


class Triggerer:
    """Waits for builds and counts how they end.

    :param interval: the longest pause between two polls, in seconds.
    """

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._tasks: set[asyncio.Task[bool]] = set()
        self._began = time.monotonic()
        self.ended = 0
        self.failures = 0

    def wait_for(self, build_id: int) -> None:
        """Start a trigger."""
        task = asyncio.create_task(waiters.in_portal(waiters.run_trigger("metakraftwerk", build_id, self._interval)))
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[bool]) -> None:
        self._tasks.discard(task)
        self.ended += 1
        error = task.exception()
        if error is not None:
            sys.stderr.write("".join(traceback.format_exception(error)))
        self.failures += error is not None or not task.result()

    async def drain(self) -> None:
        """Return when no trigger is waiting."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def sample(self) -> dict[str, float]:
        """Return the present figures of this process."""
        # Garbage does not count as growth.
        gc.collect()
        return {
            "seconds": time.monotonic() - self._began,
            "memory": probes.memory(),
            "open_files": probes.open_files(),
            "waiting": len(self._tasks),
            "ended": self.ended,
            "failures": self.failures,
        }


async def run(job: dict[str, float]) -> None:
    """Wait for the builds whose ids come from standard input, until it ends."""
    triggerer = Triggerer(job["interval"])
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    sampling = asyncio.create_task(_sample(triggerer))
    while line := await reader.readline():
        triggerer.wait_for(int(line))
    await triggerer.drain()
    sampling.cancel()
    _print(triggerer)


async def _sample(triggerer: Triggerer) -> None:
    while True:
        await asyncio.sleep(SAMPLE)
        _print(triggerer)


def _print(triggerer: Triggerer) -> None:
    sys.stdout.write(json.dumps(triggerer.sample()) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Run the job on the first line of standard input."""
    # Unbuffered: the lines after the first one belong to the event loop.
    with open(sys.stdin.fileno(), "rb", buffering=0, closefd=False) as unbuffered:
        job = json.loads(unbuffered.readline())
    waiters.prepare("metakraftwerk", job["url"])
    asyncio.run(run(job))


if __name__ == "__main__":
    main()
