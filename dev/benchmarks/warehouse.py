"""A large warehouse: what a selection of instances costs, and how often watchers of one project poll."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dev.benchmarks.harness import Plan, Table, Target, progress, run_client
from dev.benchmarks.servers.emulator import run_emulator

PROJECT = "WAREHOUSE"
PATTERNS = 6
WATCHERS = 20
#: Seconds between two polls, the least that a watcher accepts.
WATCHER_INTERVAL = 3.0


def run(plan: Plan) -> list[Table]:
    """Measure and return the tables."""
    folders, instances = plan.size(500, 20), plan.size(10_000, 400)
    seed = plan.folder / "warehouse.json"
    seed.write_text(json.dumps(warehouse(folders, instances)))
    return [_selection(seed, folders, instances), _watchers(seed, plan.size(5, 2))]


def warehouse(folders: int, instances: int) -> dict[str, Any]:
    """Return a seed of the emulator with one project; it makes the folders that instances name."""
    placed = [number % folders for number in range(instances)]
    return {
        "patterns": [{"name": f"PATTERN_{number}"} for number in range(PATTERNS)],
        "projects": [
            {
                "name": PROJECT,
                "instances": [
                    {"pattern": f"PATTERN_{folder % PATTERNS}", "folder": f"/FOLDER_{folder}", "name": f"I_{number}"}
                    for number, folder in enumerate(placed)
                ],
            }
        ],
    }


def _selection(seed: Path, folders: int, instances: int) -> Table:
    ways = {"selector": "InstanceSelector()", "folders": "one request per folder"}
    rows: list[list[str | float | None]] = []
    figures: dict[str, dict[str, float]] = {}
    for way, name in ways.items():
        progress(f"selection, {name} ...")
        with run_emulator(seed=seed) as emulator:
            variables = {"AIRFLOW_CONN_METAKRAFTWERK_DEFAULT": emulator.connection_json}
            found = run_client("select", {"way": way, "project": PROJECT}, variables)
            found["requests"] = len([request for request in emulator.requests() if request["method"] == "GET"])
        if found["selected"] != instances:
            raise RuntimeError(f"{name} selected {found['selected']} of {instances} instances")
        figures[way] = found
        rows.append([name, found["requests"], found["cpu"], found["seconds"], found["memory"] / 2**20])
    progress("")
    ours = figures["selector"]
    return Table(
        name="selection",
        title=f"Selecting {instances} instances in {folders} folders",
        note=f"{instances} instances of {PATTERNS} patterns in {folders} folders of one project, all selected. CPU and "
        "memory of the process that selects, without its imports.",
        columns=("way", "requests", "CPU, s", "time, s", "memory growth, MiB"),
        rows=rows,
        targets=[
            Target(f"selection of {instances} instances: requests", 2 * PATTERNS, ours["requests"], ""),
            Target(f"selection of {instances} instances: CPU", 2, ours["cpu"], "s"),
            Target(f"selection of {instances} instances: memory growth", 100, ours["memory"] / 2**20, "MiB"),
        ],
    )


def _watchers(seed: Path, polls: int) -> Table:
    progress(f"{WATCHERS} watchers ...")
    seconds = polls * WATCHER_INTERVAL
    with run_emulator(seed=seed) as emulator:
        variables = {"AIRFLOW_CONN_METAKRAFTWERK_DEFAULT": emulator.connection_json}
        job = {"project": PROJECT, "count": WATCHERS, "interval": WATCHER_INTERVAL, "seconds": seconds}
        cpu = run_client("watchers", job, variables)["cpu"]
        lists = len(emulator.requests("GET", "/api/v1/builds"))
        logins = len(emulator.requests("POST", "/authentication"))
    progress("")
    return Table(
        name="watchers",
        title=f"{WATCHERS} watchers of one project",
        note=f"For {seconds:g} s, {WATCHER_INTERVAL:g} s between two polls, in one triggerer with Airflow's shared "
        "streams.",
        columns=("what", "measured"),
        rows=[["lists of builds", lists], ["logins", logins], ["CPU per list, ms", 1000 * cpu / max(1, lists)]],
        targets=[
            Target(f"{WATCHERS} watchers of one project: lists of builds in {seconds:g} s", polls + 1, lists, ""),
            Target(f"{WATCHERS} watchers of one project: logins", 1, logins, ""),
        ],
    )
