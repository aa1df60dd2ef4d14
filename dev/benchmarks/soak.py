"""``python -m dev.benchmarks.soak``: three nights of builds in minutes, and what grows in the triggerer meanwhile.

Time is compressed: a second stands for a minute. 500 builds an hour, each of five minutes, polled at least every half
minute, become 500 builds a minute, each of five seconds, polled at least every half second. The token expires after
twenty seconds instead of minutes. The emulator and the triggers each run in a process of their own.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from dev.benchmarks import environment, tables
from dev.benchmarks.harness import progress

#: Seconds that one second stands for.
COMPRESSION = 60.0
BUILDS_AN_HOUR = 500
BUILD_SECONDS = 300.0
POLL_INTERVAL = 30.0
TOKEN_SECONDS = 1200.0
#: Seconds between two starts in compressed time.
PAUSE = 3600.0 / BUILDS_AN_HOUR / COMPRESSION
#: Share of its lifetime after which a token may be renewed; this package does so after nine tenths.
EARLIEST_RENEWAL = 0.8
#: Share of the time that does not count: until then, memory grows to what this number of builds needs.
WARM_UP = 0.3
#: Connections of one triggerer.
POOL = 10
#: Bytes by which memory may grow from the first half to the second: bounded caches fill up.
MARGIN = 2 * 1024 * 1024


@dataclass(frozen=True)
class Finding:
    """Something that must hold.

    :param what: description.
    :param holds: whether it does.
    """

    what: str
    holds: bool


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the soak test, print a report, and return 1 if something grew or failed."""
    parser = argparse.ArgumentParser(prog="python -m dev.benchmarks.soak", description="See what grows.")
    parser.add_argument("--minutes", type=float, default=3.0, help="how long (default: %(default)s)")
    options = parser.parse_args(arguments)
    if not environment.is_inside():
        environment.enter("dev.benchmarks.soak", [f"--minutes={options.minutes}"])
    samples, server = soak(int(options.minutes * 60 / PAUSE))
    findings = judge(samples, server)
    sys.stdout.write(_report(samples, server, findings))
    return 0 if all(finding.holds for finding in findings) else 1


def soak(builds: int) -> tuple[list[dict[str, float]], dict[str, int]]:
    """Start builds at a steady rate; return the triggerer's samples and what the server counted."""
    # Imported here, because `main` may still have to enter the environment that has what it needs.
    from dev.benchmarks.servers.emulator import run_emulator

    with (
        run_emulator(build_seconds=BUILD_SECONDS / COMPRESSION, token_seconds=TOKEN_SECONDS / COMPRESSION) as emulator,
        # It ends when its standard input ends and it waits for no build.
        subprocess.Popen(
            [sys.executable, "-m", "dev.benchmarks.clients.soaked"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**environment.variables(), "AIRFLOW_CONN_METAKRAFTWERK_DEFAULT": emulator.connection_json},
            cwd=environment.ROOT,
        ) as triggerer,
    ):
        assert triggerer.stdin is not None  # noqa: S101  # a pipe
        samples: list[dict[str, float]] = []
        reading = threading.Thread(target=lambda: samples.extend(map(json.loads, triggerer.stdout or ())))
        reading.start()
        triggerer.stdin.write(json.dumps({"url": emulator.url, "interval": POLL_INTERVAL / COMPRESSION}) + "\n")
        triggerer.stdin.flush()
        # The time that it takes to start is not part of the test.
        while not samples and triggerer.poll() is None:
            time.sleep(0.1)
        began, most_open = time.monotonic(), 0
        for number in range(builds):
            # When late, it catches up, so that the rate stays the same.
            time.sleep(max(0.0, number * PAUSE - (time.monotonic() - began)))
            triggerer.stdin.write(f"{emulator.start_build()['id']}\n")
            triggerer.stdin.flush()
            if number % 50 == 0:
                most_open = max(most_open, emulator.connections()["open"])
                _progress(number, samples)
        triggerer.stdin.close()
        reading.join()
        if triggerer.wait():
            raise RuntimeError(f"the triggerer ended with {triggerer.returncode}")
        counted = {
            "started": builds,
            "most_open": most_open,
            "accepted": emulator.connections()["accepted"],
            **_count_logins([token["issued"] for token in emulator.tokens()]),
        }
    progress("")
    return samples, counted


def judge(samples: Sequence[dict[str, float]], server: dict[str, int]) -> list[Finding]:
    """Return what must hold, and whether it does."""
    return [*counts(samples, server), _memory(samples)]


def counts(samples: Sequence[dict[str, float]], server: dict[str, int]) -> list[Finding]:
    """Return what must hold among the counts."""
    last, (earlier, later) = samples[-1], _halves(samples)
    files = max(_values(later, "open_files")) - max(_values(earlier, "open_files"))
    return [
        Finding(f"{last['ended']:.0f} of {server['started']} builds waited for", last["ended"] == server["started"]),
        Finding(f"{last['failures']:.0f} waits failed", last["failures"] == 0),
        Finding(f"at most {server['most_open']} connections open at the same time", server["most_open"] <= POOL),
        Finding(f"{server['accepted']} connections opened", server["accepted"] <= POOL),
        # A connection that is opened late is an open file.
        Finding(f"open files: {files:+.0f} from the first half to the second", files <= POOL),
        Finding(f"{server['logins']} logins, {server['early_logins']} of them early", not server["early_logins"]),
    ]


def _count_logins(issued: Sequence[str]) -> dict[str, int]:
    """Return the number of logins, and of those that replaced a token long before it expired."""
    moments = [datetime.fromisoformat(moment.replace("Z", "+00:00")) for moment in issued]
    earliest = timedelta(seconds=EARLIEST_RENEWAL * TOKEN_SECONDS / COMPRESSION)
    early = sum(after - before < earliest for before, after in itertools.pairwise(moments))
    return {"logins": len(issued), "early_logins": early}


def _memory(samples: Sequence[dict[str, float]]) -> Finding:
    earlier, later = (statistics.median(_values(half, "memory")) for half in _halves(samples))
    return Finding(
        f"memory: {(later - earlier) / 1024:+.0f} KiB from the first half to the second", later - earlier <= MARGIN
    )


def _halves(samples: Sequence[dict[str, float]]) -> tuple[Sequence[dict[str, float]], Sequence[dict[str, float]]]:
    """Return the samples between the warm-up and the last one, in two halves."""
    steady = [sample for sample in samples[:-1] if sample["seconds"] > WARM_UP * samples[-1]["seconds"]]
    return steady[: len(steady) // 2], steady[len(steady) // 2 :]


def _values(samples: Sequence[dict[str, float]], name: str) -> list[float]:
    return [sample[name] for sample in samples]


def _progress(started: int, samples: Sequence[dict[str, float]]) -> None:
    latest: Any = samples[-1] if samples else {"waiting": 0, "memory": 0}
    memory = latest["memory"] / 2**20
    progress(f"{started} builds started, {latest['waiting']:.0f} being waited for, {memory:.1f} MiB ...")


def _report(samples: Sequence[dict[str, float]], server: dict[str, int], findings: Sequence[Finding]) -> str:

    step = max(1, len(samples) // 12)
    rows = [
        [
            sample["seconds"],
            sample["ended"],
            sample["waiting"],
            round(sample["memory"] / 2**20, 2),
            sample["open_files"],
        ]
        for sample in [*samples[:-1:step], samples[-1]]
    ]
    hours = samples[-1]["seconds"] * COMPRESSION / 3600
    lines = [
        f"Soak: {server['started']} builds, {BUILDS_AN_HOUR} an hour for {hours:.1f} hours of compressed time",
        "",
        tables.plain(("seconds", "builds ended", "waiting", "memory, MiB", "open files"), rows),
        "",
        *(f"{'ok    ' if finding.holds else 'FAILED'} {finding.what}" for finding in findings),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
