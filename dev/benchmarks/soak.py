"""``python -m dev.benchmarks.soak``: three nights of builds in minutes, and what grows in the triggerer meanwhile.

Time is compressed: a second stands for a minute. 500 builds an hour, each of five minutes, polled at least every half
minute, are 500 builds a minute here, each of five seconds, polled at least every half second. The token ends after
twenty minutes, here seconds. The emulator runs in a process of its own, and so do the triggers, as in a triggerer.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dev.benchmarks import environment
from dev.benchmarks.harness import progress

#: How many seconds a second stands for.
COMPRESSION = 60.0
BUILDS_AN_HOUR = 500
BUILD_SECONDS = 300.0
POLL_INTERVAL = 30.0
TOKEN_SECONDS = 1200.0
#: The first part of the time does not count: until then, memory fills to what so many builds at once need.
WARM_UP = 0.3
#: Connections of one triggerer.
POOL = 10
#: Bytes by which the memory may grow from the first half of what counts to the second: caches with a bound fill up.
MARGIN = 2 * 1024 * 1024


@dataclass(frozen=True)
class Finding:
    """Something that must hold.

    :param what: in words.
    :param holds: whether it does.
    """

    what: str
    holds: bool


def main(arguments: Sequence[str] | None = None) -> int:
    """Soak, print a report, and return 1 if something grew or failed."""
    parser = argparse.ArgumentParser(prog="python -m dev.benchmarks.soak", description="See what grows.")
    parser.add_argument("--minutes", type=float, default=3.0, help="how long (default: %(default)s)")
    options = parser.parse_args(arguments)
    if not environment.is_inside():
        environment.enter("dev.benchmarks.soak", [f"--minutes={options.minutes}"])
    samples, server = soak(options.minutes * 60)
    findings = judge(samples, server)
    sys.stdout.write(_report(samples, server, findings))
    return 0 if all(finding.holds for finding in findings) else 1


def soak(seconds: float) -> tuple[list[dict[str, float]], dict[str, int]]:
    """Start builds evenly for so long, and return the triggerer's samples and what the server counted."""
    from dev.benchmarks.servers.emulator import emulating

    with (
        emulating(build_seconds=BUILD_SECONDS / COMPRESSION, token_seconds=TOKEN_SECONDS / COMPRESSION) as emulator,
        # At the end of its standard input it ends too, once no build is waited for.
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
        pause = 3600.0 / BUILDS_AN_HOUR / COMPRESSION
        began, started, most_open = time.monotonic(), 0, 0
        while (now := time.monotonic() - began) < seconds:
            # Behind time it catches up: it is the rate that counts.
            if started * pause > now:
                time.sleep(started * pause - now)
            triggerer.stdin.write(f"{emulator.start_build()['id']}\n")
            triggerer.stdin.flush()
            started += 1
            if started % 50 == 0:
                most_open = max(most_open, emulator.connections()["open"])
                _progress(started, samples)
        triggerer.stdin.close()
        reading.join()
        if triggerer.wait():
            raise RuntimeError(f"the triggerer ended with {triggerer.returncode}")
        logins, accepted = len(emulator.tokens()), emulator.connections()["accepted"]
    progress("")
    return samples, {"started": started, "most_open": most_open, "accepted": accepted, "logins": logins}


def judge(samples: Sequence[dict[str, float]], server: dict[str, int]) -> list[Finding]:
    """Return what must hold, and whether it does."""
    return [*counts(samples, server), _memory(samples)]


def counts(samples: Sequence[dict[str, float]], server: dict[str, int]) -> list[Finding]:
    """Return what must hold of that which can be counted."""
    last, (earlier, later) = samples[-1], _halves(samples)
    files = max(_values(later, "open_files")) - max(_values(earlier, "open_files"))
    lives = last["seconds"] / (TOKEN_SECONDS / COMPRESSION)
    return [
        Finding(f"{last['ended']:.0f} of {server['started']} builds waited for", last["ended"] == server["started"]),
        Finding(f"{last['failures']:.0f} waits failed", last["failures"] == 0),
        Finding(f"at most {server['most_open']} connections open at once", server["most_open"] <= POOL),
        Finding(f"{server['accepted']} connections opened in all", server["accepted"] <= POOL),
        # Each connection that is opened late is one.
        Finding(f"open files: {files:+.0f} from one half to the next", files <= POOL),
        # A token is renewed after nine tenths of its life.
        Finding(
            f"{server['logins']} logins in {lives:.1f} lives of a token", lives < server["logins"] <= 1.2 * lives + 2
        ),
    ]


def _memory(samples: Sequence[dict[str, float]]) -> Finding:
    earlier, later = (statistics.median(_values(half, "memory")) for half in _halves(samples))
    return Finding(f"memory: {(later - earlier) / 1024:+.0f} KiB from one half to the next", later - earlier <= MARGIN)


def _halves(samples: Sequence[dict[str, float]]) -> tuple[Sequence[dict[str, float]], Sequence[dict[str, float]]]:
    """Return what was sampled after the warm-up and before the last builds ended, in two halves."""
    steady = [sample for sample in samples[:-1] if sample["seconds"] > WARM_UP * samples[-1]["seconds"]]
    return steady[: len(steady) // 2], steady[len(steady) // 2 :]


def _values(samples: Sequence[dict[str, float]], name: str) -> list[float]:
    return [sample[name] for sample in samples]


def _progress(started: int, samples: Sequence[dict[str, float]]) -> None:
    latest: Any = samples[-1] if samples else {"waiting": 0, "memory": 0}
    memory = latest["memory"] / 2**20
    progress(f"{started} builds started, {latest['waiting']:.0f} waited for, {memory:.1f} MiB ...")


def _report(samples: Sequence[dict[str, float]], server: dict[str, int], findings: Sequence[Finding]) -> str:
    from dev.benchmarks import tables

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
        tables.plain(("seconds", "builds ended", "waited for", "memory, MiB", "open files"), rows),
        "",
        *(f"{'ok    ' if finding.holds else 'FAILED'} {finding.what}" for finding in findings),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
