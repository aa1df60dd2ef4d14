"""What is there when all nights are over: at the server, in Airflow, and on the disk."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from chaos.field import DAG_ID, Field
from demo.rest import AirflowApiError, AirflowClient
from mkw_airflow_provider.emulator import Control

Row = Mapping[str, Any]


@dataclass(frozen=True)
class RunEvidence:
    """One run as Airflow and the disk have it.

    :param tasks: its task instances by task.
    :param results: what the tasks returned, by task; None for one that returned nothing.
    :param folder: where its files are to be.
    :param logs: its folder of logs.
    """

    run_id: str
    state: str
    tasks: Mapping[str, Row]
    results: Mapping[str, Any]
    folder: Path
    logs: Path

    def log(self, task_id: str) -> Path:
        """Return the folder with a task's logs, a file for each try."""
        return self.logs / f"task_id={task_id}"


@dataclass(frozen=True)
class Evidence:
    """Everything that the invariants are about.

    :param requests: the server's log.
    :param triggerers: how many triggerers ran, one after the other.
    :param secrets: the password and all tokens.
    :param home: Airflow's folder, with its logs and its database.
    :param contents: SHA-256 of each download by its id, asked from the server at the end.
    """

    runs: list[RunEvidence]
    requests: Sequence[Row] = field(repr=False)
    builds: Sequence[Row] = field(repr=False)
    downloads: Sequence[Row] = field(repr=False)
    deployments: Sequence[Row] = field(repr=False)
    triggerers: int
    secrets: Sequence[str] = field(repr=False)
    home: Path
    contents: Mapping[int, str] = field(repr=False)
    server_log: Path


def gather(place: Field, run_ids: list[str]) -> Evidence:
    """Collect it."""
    client, control = place.client(), place.server.control
    # The log first: what follows asks the server for files, too.
    log = control.requests()
    builds = control.builds()
    finished = {build["id"] for build in builds if build["status"] == "FINISHED"}
    downloads = [download for download in control.downloads() if download["build_id"] in finished]
    return Evidence(
        runs=[_run(place, client, run_id) for run_id in run_ids],
        requests=log,
        builds=builds,
        downloads=downloads,
        deployments=control.build_deployments(),
        triggerers=1 + place.replaced["triggerer"],
        secrets=[control.connection["password"], *(token["token"] for token in control.tokens())],
        home=place.stack.home,
        contents=_contents(control, [download["id"] for download in downloads]),
        server_log=place.server.log,
    )


def _run(place: Field, client: AirflowClient, run_id: str) -> RunEvidence:
    tasks = {task["task_id"]: task for task in client.task_instances(DAG_ID, run_id)}
    return RunEvidence(
        run_id=run_id,
        state=str(client.run(DAG_ID, run_id)["state"]),
        tasks=tasks,
        results={task_id: _result(client, run_id, task_id) for task_id in tasks},
        folder=place.results / run_id,
        logs=place.stack.home / "logs" / f"dag_id={DAG_ID}" / f"run_id={run_id}",
    )


def _result(client: AirflowClient, run_id: str, task_id: str) -> Any:
    try:
        return client.xcom(DAG_ID, run_id, task_id)
    except AirflowApiError as error:
        if error.status == 404:
            return None
        raise


def _contents(control: Control, download_ids: list[int]) -> dict[int, str]:
    connection = control.connection
    with requests.Session() as session:
        session.trust_env = False
        login = {"strategy": "local", "email": connection["login"], "password": connection["password"]}
        answer = session.post(f"{control.url}/authentication", json=login, timeout=30)
        answer.raise_for_status()
        session.headers["Authorization"] = f"Bearer {answer.json()['accessToken']}"
        found = {}
        for download_id in download_ids:
            answer = session.get(f"{control.url}/api/v1/downloads/{download_id}", timeout=60)
            answer.raise_for_status()
            found[download_id] = hashlib.sha256(answer.content).hexdigest()
    return found
