"""What all runs have left: on the server, in Airflow, and on disk."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import requests

from dev.chaos.environment import Environment
from dev.stack.rest import AirflowApiError, AirflowClient
from mkw_airflow_provider.emulator import Control

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Clear:
    """A task that a person cleared, or whose run a person deleted and created again.

    :param at: the moment right before.
    :param state: the task's state at that moment.
    :param try_number: the task's try number at that moment.
    :param deleted: whether its run was deleted, so that its try numbers start again.
    """

    task_id: str
    at: datetime
    state: str | None
    try_number: int
    deleted: bool = False


@dataclass(frozen=True)
class RunEvidence:
    """One run as Airflow and the disk show it.

    :param tasks: its task instances by task.
    :param clears: which of its tasks were cleared, oldest first.
    :param results: what the tasks returned, by task; None for one that returned nothing.
    :param folder: where its files are expected.
    :param logs: its folder of logs.
    :param map_index: the index that its tasks are mapped with; -1: they are not.
    """

    dag_id: str
    run_id: str
    state: str
    tasks: Mapping[str, Row]
    clears: Sequence[Clear]
    results: Mapping[str, Any]
    folder: Path
    logs: Path
    map_index: int = -1

    def log(self, task_id: str) -> Path:
        """Return the folder with a task's logs, one file for each attempt."""
        folder = self.logs / f"task_id={task_id}"
        return folder if self.map_index < 0 else folder / f"map_index={self.map_index}"

    def clears_of(self, task_id: str) -> list[Clear]:
        """Return how a task was cleared, oldest first."""
        return [clear for clear in self.clears if clear.task_id == task_id]


@dataclass(frozen=True)
class Evidence:
    """Everything that the invariants check.

    :param requests: the server's log of requests.
    :param triggerers: how many triggerers ran, one after the other.
    :param rotations: how often the password was changed.
    :param secrets: all passwords and tokens.
    :param home: Airflow's folder, with its logs and its database.
    :param contents: SHA-256 of each download by its id, as the server has it at the end.
    """

    runs: list[RunEvidence]
    requests: Sequence[Row] = field(repr=False)
    builds: Sequence[Row] = field(repr=False)
    downloads: Sequence[Row] = field(repr=False)
    deployments: Sequence[Row] = field(repr=False)
    triggerers: int
    rotations: int
    secrets: Sequence[str] = field(repr=False)
    home: Path
    contents: Mapping[int, str] = field(repr=False)
    server_log: Path


def collect(environment: Environment, runs: Iterable[tuple[str, str, Sequence[Clear]]]) -> Evidence:
    """Collect the evidence.

    :param runs: DAG, run, and which of its tasks were cleared.
    """
    client, control = environment.new_client(), environment.emulator.control
    # The log comes first: what follows sends requests to the server, too.
    log = control.requests()
    builds = control.builds()
    finished = {build["id"] for build in builds if build["status"] == "FINISHED"}
    downloads = [download for download in control.downloads() if download["build_id"] in finished]
    return Evidence(
        runs=[_collect_run(environment, client, *run) for run in runs],
        requests=log,
        builds=builds,
        downloads=downloads,
        deployments=control.build_deployments(),
        triggerers=environment.triggerers,
        rotations=len(environment.passwords) - 1,
        secrets=[*environment.passwords, *(token["token"] for token in control.tokens())],
        home=environment.stack.home,
        contents=read_contents(control, environment.passwords[-1], [download["id"] for download in downloads]),
        server_log=environment.emulator.log,
    )


def _collect_run(
    environment: Environment, client: AirflowClient, dag_id: str, run_id: str, clears: Sequence[Clear]
) -> RunEvidence:
    tasks = {task["task_id"]: task for task in client.task_instances(dag_id, run_id)}
    return RunEvidence(
        dag_id=dag_id,
        run_id=run_id,
        state=str(client.run(dag_id, run_id)["state"]),
        tasks=tasks,
        clears=clears,
        results={task_id: _result(client, dag_id, run_id, task_id) for task_id in tasks},
        folder=environment.results / run_id,
        logs=environment.stack.home / "logs" / f"dag_id={dag_id}" / f"run_id={run_id}",
    )


def _result(client: AirflowClient, dag_id: str, run_id: str, task_id: str) -> Any:
    try:
        return client.xcom(dag_id, run_id, task_id)
    except AirflowApiError as error:
        if error.status == 404:
            return None
        raise


def read_contents(control: Control, password: str, download_ids: Iterable[int]) -> dict[int, str]:
    """Return the SHA-256 of downloads, as the server has them."""
    with requests.Session() as session:
        session.trust_env = False
        login = {"strategy": "local", "email": control.connection["login"], "password": password}
        response = session.post(f"{control.url}/authentication", json=login, timeout=30)
        response.raise_for_status()
        session.headers["Authorization"] = f"Bearer {response.json()['accessToken']}"
        digests = {}
        for download_id in download_ids:
            response = session.get(f"{control.url}/api/v1/downloads/{download_id}", timeout=60)
            response.raise_for_status()
            digests[download_id] = hashlib.sha256(response.content).hexdigest()
    return digests


def belongs_to(build: Row, run_id: str) -> bool:
    """Whether a build, or a request to build, is that of a run: the chain writes the run into the description."""
    return re.search(rf"\b{re.escape(run_id)}\b", str(build.get("description"))) is not None


def is_in_logs(folder: Path, *parts: str, name: str = "*.log") -> bool:
    """Whether a line of a task's logs has all parts.

    :param name: glob of the files that count.
    """
    lines = (line for log in folder.glob(name) for line in log.read_text(errors="replace").splitlines())
    return any(all(part in line for part in parts) for line in lines)


def moment(text: str) -> datetime:
    """Return a timestamp of the emulator or of Airflow."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
