"""What is there when all nights are over: at the server, in Airflow, and on the disk."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from dev.chaos.field import RETRIES, Field
from dev.stack.rest import AirflowApiError, AirflowClient
from mkw_airflow_provider.emulator import Control

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Clear:
    """A task that a person cleared.

    :param after_try: the number of the try that it had reached.
    :param ran: whether it ran at that moment. Airflow then has the last word on whether a new series begins.
    """

    task_id: str
    after_try: int
    ran: bool


@dataclass(frozen=True)
class RunEvidence:
    """One run as Airflow and the disk have it.

    :param tasks: its task instances by task.
    :param series: the first tries of a task's series, by task: a retry belongs to the series of the try before, a clear
        begins a new one.
    :param clears: which of its tasks were cleared.
    :param results: what the tasks returned, by task; None for one that returned nothing.
    :param folder: where its files are to be.
    :param logs: its folder of logs.
    """

    dag_id: str
    run_id: str
    state: str
    tasks: Mapping[str, Row]
    series: Mapping[str, Sequence[int]]
    clears: Sequence[Clear]
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


def gather(place: Field, runs: Iterable[tuple[str, str, Sequence[Clear]]]) -> Evidence:
    """Collect it.

    :param runs: DAG, run, and which of its tasks were cleared.
    """
    client, control = place.client(), place.server.control
    # The log first: what follows asks the server for files, too.
    log = control.requests()
    builds = control.builds()
    finished = {build["id"] for build in builds if build["status"] == "FINISHED"}
    downloads = [download for download in control.downloads() if download["build_id"] in finished]
    return Evidence(
        runs=[_run(place, client, *run) for run in runs],
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


def _run(place: Field, client: AirflowClient, dag_id: str, run_id: str, clears: Sequence[Clear]) -> RunEvidence:
    tasks = {task["task_id"]: task for task in client.task_instances(dag_id, run_id)}
    return RunEvidence(
        dag_id=dag_id,
        run_id=run_id,
        state=str(client.run(dag_id, run_id)["state"]),
        tasks=tasks,
        series={task_id: _series(client.tries(dag_id, run_id, task_id)) for task_id in tasks},
        clears=clears,
        results={task_id: _result(client, dag_id, run_id, task_id) for task_id in tasks},
        folder=place.results / run_id,
        logs=place.stack.home / "logs" / f"dag_id={dag_id}" / f"run_id={run_id}",
    )


def _series(tries: Iterable[Row]) -> list[int]:
    """Return the first try of each series: Airflow raises `max_tries` when one begins, and not for a retry.

    Not the lowest number of the tries: one that failed while it was queued is in none of Airflow's tables.
    """
    return sorted({each["max_tries"] - RETRIES + 1 for each in tries if each["try_number"]})


def _result(client: AirflowClient, dag_id: str, run_id: str, task_id: str) -> Any:
    try:
        return client.xcom(dag_id, run_id, task_id)
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
