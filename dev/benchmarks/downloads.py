"""CPU, memory and time of downloads, compared with ``requests`` and ``curl``."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from functools import partial

from dev.benchmarks.harness import Figures, Plan, Table, Target, interleaved, run_client
from dev.benchmarks.servers.process import serving

SINGLE = (
    "this package",
    "requests, chunks of 1 MiB",
    "requests, .content",
    "curl | sha256sum",
    "curl, then sha256sum",
)
PARALLEL = ("this package, 8 files", "8 times curl | sha256sum", "curl --parallel, no hash")


def run(plan: Plan) -> list[Table]:
    """Measure and return the tables."""
    return [_single(plan), _parallel(plan)]


def _download(plan: Plan, way: str, mebibytes: int) -> Figures:
    folder = plan.folder / "downloads"
    folder.mkdir(exist_ok=True)
    try:
        with serving("files", mebibytes=mebibytes) as server, serving("files", mebibytes=1) as small:
            job = {"way": way, "url": server.url, "small": small.url, "folder": str(folder)}
            return run_client("download", job)
    finally:
        shutil.rmtree(folder)


def _subjects(plan: Plan, ways: Sequence[str], mebibytes: int) -> dict[str, Callable[[], Figures]]:
    return {way: partial(_download, plan, way, mebibytes) for way in ways}


def _single(plan: Plan) -> Table:
    size = plan.size(1024, 64)
    rounds = interleaved("download", plan, _subjects(plan, SINGLE, size))
    mine = SINGLE[0]
    return Table(
        name="download",
        title=f"Download of {size} MiB with its SHA-256",
        note="Over HTTP from this machine, into a folder in memory if there is enough. CPU: of the process "
        "and its children. `curl | sha256sum` stores nothing; the others store the file.",
        columns=("way", "CPU, s", "ratio of this package", "time, s", "memory growth, MiB"),
        rows=[
            [
                way,
                rounds.median(way, "cpu"),
                rounds.ratio(mine, way, "cpu"),
                rounds.median(way, "wall"),
                rounds.median(way, "memory") / 2**20 if "curl" not in way else None,
            ]
            for way in SINGLE
        ],
        targets=[
            Target("download: memory growth", 16, rounds.median(mine, "memory") / 2**20, "MiB"),
            *(Target(f"download: CPU compared with {way}", 1.0, rounds.ratio(mine, way, "cpu")) for way in SINGLE[-2:]),
        ],
    )


def _parallel(plan: Plan) -> Table:
    size = plan.size(128, 8)
    rounds = interleaved("8 downloads", plan, _subjects(plan, PARALLEL, size))
    mine, shell = PARALLEL[0], PARALLEL[1]
    return Table(
        name="downloads",
        title=f"8 files of {size} MiB in parallel",
        note="As above. `curl | sha256sum` stores nothing, `curl --parallel` hashes nothing.",
        columns=("way", "time, s", "ratio of this package", "CPU, s"),
        rows=[
            [way, rounds.median(way, "wall"), rounds.ratio(mine, way, "wall"), rounds.median(way, "cpu")]
            for way in PARALLEL
        ],
        targets=[
            Target(
                "time of 8 parallel downloads compared with curl | sha256sum", 1.0, rounds.ratio(mine, shell, "wall")
            )
        ],
    )
