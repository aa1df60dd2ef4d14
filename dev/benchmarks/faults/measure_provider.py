"""One provider's column of the fault table. ``python -m dev.benchmarks.faults`` runs it for each."""

from __future__ import annotations

import json
import sys
import time
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dev.benchmarks.faults.other_providers import PROVIDERS
from dev.benchmarks.faults.program import ServerProgram
from dev.benchmarks.faults.rows import ROWS, Row
from dev.benchmarks.faults.run_row import run_row
from dev.benchmarks.faults.setup import Pace
from mkw_airflow_provider.client.flows import ApiSession
from mkw_airflow_provider.triggers import watch
from tests.kit.clock import Clock

#: Runs first, so that nothing is imported during a measurement.
WARM_UP = Row("warm-up", "no fault", lambda _: None)


def measure(package: str, folder: Path, pace: Pace, wanted: list[str]) -> dict[str, Any]:
    """Run a provider's tasks through the faults, one after the other.

    :param package: name of its distribution, a key of :data:`PROVIDERS`.
    :param folder: with the certificates; the server's state goes there, too.
    :param wanted: ids of the rows.
    :return: ``package``, ``version``, and ``outcomes`` by the ids of the rows.
    """
    provider, clock = PROVIDERS[package](), Clock(rate=1.0)
    time.time = clock.wall
    # This provider read its clock when it was imported.
    watch.ApiSession = partial(ApiSession, wall=clock.wall)  # type: ignore[attr-defined,assignment]
    outcomes: dict[str, dict[str, Any]] = {}
    with ServerProgram(folder) as server:
        run_row(WARM_UP, provider, server, pace, clock)
        for row in ROWS:
            if row.id in wanted:
                outcome, tasks = run_row(row, provider, server, pace, clock)
                outcomes[row.id] = outcome.to_dict()
                words = [str(error)[:200] for task in tasks for error in task.errors[:1]]
                sys.stderr.write(f"{package} {row.id}: {json.dumps(outcomes[row.id])} {words[:1]}\n")
    return {"package": package, "version": version(package), "outcomes": outcomes}


def main() -> None:
    """Measure what the arguments name and write ``column.json`` into the folder."""
    package, name, pace, *wanted = sys.argv[1:]
    folder = Path(name)
    column = measure(package, folder, Pace(**json.loads(pace)), wanted)
    (folder / "column.json").write_text(json.dumps(column))


if __name__ == "__main__":
    main()
