"""The requests that the chain of one build sends: start, wait, download, deploy."""

from __future__ import annotations

import re
import shutil
from collections import Counter

from dev.benchmarks.harness import Plan, Table, Target, measured
from dev.benchmarks.servers.emulator import emulating

#: What each request is for; ids of the path stand as ``:id``.
PURPOSES = {
    "POST /authentication": "login",
    "POST /api/v1/builds": "start of the build",
    "GET /api/v1/builds/:id": "look at the build",
    "GET /api/v1/downloads": "list of downloads",
    "GET /api/v1/downloads/:id": "file",
    "GET /api/v1/build_deployments": "list of deployments",
    "POST /api/v1/build_deployments": "deployment",
}


def run(plan: Plan) -> list[Table]:
    """Measure, and return the table."""
    folder, seconds = plan.folder / "chain", plan.size(20, 8)
    folder.mkdir()
    try:
        with emulating(build_seconds=seconds) as emulator:
            variables = {"AIRFLOW_CONN_METAKRAFTWERK_DEFAULT": emulator.connection_json}
            files = measured("chain", {"folder": str(folder)}, variables)["files"]
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
            note=f"A build of {seconds} s in the emulator; all tasks and the trigger in one process. In Airflow each "
            "process that talks to MetaKraftwerk logs in once.",
            columns=("request", "how often"),
            rows=[*rows, ["in all", len(requests)]],
            targets=[
                Target("chain of one build: logins", 1, counts["login"], ""),
                Target("chain of one build: starts of a build", 1, counts["start of the build"], ""),
                Target("chain of one build: lists of downloads", 1, counts["list of downloads"], ""),
                Target("chain of one build: requests for each file", 1, counts["file"] / files, ""),
                Target("chain of one build: requests for the deployment", 2, deployments, ""),
                Target("chain of one build: requests for anything else", 0, counts["anything else"], ""),
            ],
            rounds={"metakraftwerk": {what: [count] for what, count in counts.items()}},
        )
    ]


def purpose(request: dict[str, str]) -> str:
    """Return what a request of the emulator's log is for."""
    path = re.sub(r"/[0-9]+$", "/:id", request["path"])
    return PURPOSES.get(f"{request['method']} {path}", "anything else")
