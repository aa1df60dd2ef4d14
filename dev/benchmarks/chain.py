"""The requests that the chain of one build sends: start, wait, download, deploy."""

from __future__ import annotations

import re
import shutil
from collections import Counter

from dev.benchmarks.harness import Plan, Table, Target, run_client
from dev.benchmarks.servers.emulator import run_emulator

#: The purpose of each request, with ``:id`` in place of ids.
PURPOSES = {
    "POST /authentication": "login",
    "POST /api/v1/builds": "start of the build",
    "GET /api/v1/builds/:id": "poll",
    "GET /api/v1/downloads": "list of downloads",
    "GET /api/v1/downloads/:id": "file",
    "POST /api/v1/metadata": "changed instances",
    "GET /api/v1/build_deployments": "list of deployments",
    "POST /api/v1/build_deployments": "deployment",
}


def run(plan: Plan) -> list[Table]:
    """Measure, and return the table."""
    folder, seconds = plan.folder / "chain", plan.size(20, 8)
    folder.mkdir()
    try:
        with run_emulator(build_seconds=seconds) as emulator:
            variables = {"AIRFLOW_CONN_METAKRAFTWERK_DEFAULT": emulator.connection_json}
            files = run_client("chain", {"folder": str(folder)}, variables)["files"]
            requests = emulator.requests()
    finally:
        shutil.rmtree(folder)
    counts = Counter(map(purpose, requests))
    rows: list[list[str | float | None]] = [[what, counts[what]] for what in PURPOSES.values()]
    deployments = counts["list of deployments"] + counts["deployment"]
    return [
        Table(
            name="chain",
            title="Requests for the chain of one build",
            note=f"A build of {seconds} s in the emulator; all tasks and the trigger in one process. In Airflow, each "
            "process that sends requests to MetaKraftwerk logs in once.",
            columns=("request", "count"),
            rows=[*rows, ["all", len(requests)]],
            targets=[
                Target("chain of one build: logins", 1, counts["login"], ""),
                Target("chain of one build: starts of a build", 1, counts["start of the build"], ""),
                Target("chain of one build: lists of downloads", 1, counts["list of downloads"], ""),
                Target("chain of one build: requests for each file", 1, counts["file"] / files, ""),
                Target("chain of one build: requests for the deployment", 2, deployments, ""),
                Target("chain of one build: requests for anything else", 0, counts["anything else"], ""),
            ],
        )
    ]


def purpose(request: dict[str, str]) -> str:
    """Return the purpose of a request in the emulator's log."""
    path = re.sub(r"/[0-9]+$", "/:id", request["path"])
    return PURPOSES.get(f"{request['method']} {path}", "anything else")
