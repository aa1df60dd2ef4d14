"""One provider's column of the fault table. ``python -m benchmarks.peers.faults`` runs it for each."""

from __future__ import annotations

import json
import sys
import time
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.peers.program import ServerProgram
from benchmarks.peers.subjects import SUBJECTS
from mkw_airflow_provider.client.flows import ApiSession
from mkw_airflow_provider.triggers import watch
from tests.faults.play import play
from tests.faults.rows import ROWS, Row
from tests.faults.stage import Clock, Pace

#: What is loaded once in a triggerer's life is loaded before anything is measured.
CALM = Row("calm", "nothing happens", lambda _: None)


def measure(package: str, folder: Path, pace: Pace, wanted: list[str]) -> dict[str, Any]:
    """Let a provider's tasks meet the faults, one after the other.

    :param package: name of its distribution, a key of :data:`SUBJECTS`.
    :param folder: with the certificates; the server's state goes there, too.
    :param wanted: ids of the rows.
    :return: ``package``, ``version``, and ``outcomes`` by the ids of the rows.
    """
    subject, clock = SUBJECTS[package](), Clock()
    time.time = clock
    # This provider took its clock when it was imported.
    watch.ApiSession = partial(ApiSession, wall=clock)  # type: ignore[attr-defined,assignment]
    outcomes: dict[str, dict[str, Any]] = {}
    with ServerProgram(folder) as server:
        play(CALM, subject, server, pace, clock)
        for row in ROWS:
            if row.id in wanted:
                outcome, tasks = play(row, subject, server, pace, clock)
                outcomes[row.id] = outcome.to_dict()
                words = [str(error)[:200] for task in tasks for error in task.errors[:1]]
                sys.stderr.write(f"{package} {row.id}: {json.dumps(outcomes[row.id])} {words[:1]}\n")
    return {"package": package, "version": version(package), "outcomes": outcomes}


def main() -> None:
    """Measure what the arguments say, and write ``column.json`` into the folder."""
    package, name, pace, *wanted = sys.argv[1:]
    folder = Path(name)
    column = measure(package, folder, Pace(**json.loads(pace)), wanted)
    (folder / "column.json").write_text(json.dumps(column))


if __name__ == "__main__":
    main()
