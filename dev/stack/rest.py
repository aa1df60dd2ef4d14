"""The part of Airflow's REST API that the demo, chaos and tests need."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

import requests

from dev.stack.generation import INSTALLED

FINAL_RUN_STATES = frozenset({"success", "failed"})


class AirflowApiError(Exception):
    """Airflow refused a request; the message contains its response.

    :param status: the HTTP status; None: there was no response.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class AirflowClient:
    """Calls to one Airflow, logged in as one user.

    :param url: address of the API server, without a path.
    :param user: user name.
    :param password: the user's password.
    """

    def __init__(self, url: str, *, user: str, password: str) -> None:
        self.url = url
        self._login = {"username": user, "password": password}
        self._session = requests.Session()
        # The user's proxy is not for this machine.
        self._session.trust_env = False

    def health(self) -> dict[str, dict[str, str | None]]:
        """Return the status and the last heartbeat of each component; empty while the API server does not respond."""
        try:
            response = self._session.get(f"{self.url}{INSTALLED.health}", timeout=10)
            return {name: part for name, part in response.json().items() if part}
        except (requests.RequestException, ValueError):
            return {}

    def warm_up(self) -> None:
        """Let the API server load what workers need, which takes seconds for the first request."""
        if INSTALLED.warm_up is not None:
            self._request("GET", INSTALLED.warm_up)

    def login(self) -> None:
        """Get a token and use it from now on; Airflow 2 has none and gets name and password with each request."""
        if INSTALLED.token is None:
            self._session.auth = (self._login["username"], self._login["password"])
            return
        token = self._request("POST", INSTALLED.token, json=self._login)["access_token"]
        self._session.headers["Authorization"] = f"Bearer {token}"

    def dag_ids(self) -> set[str]:
        """Return the ids of all DAGs that Airflow has read."""
        return {dag["dag_id"] for dag in self._get("/dags", limit=1000)["dags"]}

    def import_errors(self) -> dict[str, str]:
        """Return the stack trace of each DAG file that cannot be read."""
        return {error["filename"]: error["stack_trace"] for error in self._get("/importErrors")["import_errors"]}

    def wait_for_dag(self, dag_id: str, *, timeout: float = 60.0) -> None:
        """Wait until Airflow has read a DAG.

        :raises AirflowApiError: a file cannot be read, or the DAG did not appear within `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while dag_id not in self.dag_ids():
            if errors := self.import_errors():
                raise AirflowApiError("\n".join(f"{name}:\n{trace}" for name, trace in errors.items()))
            if time.monotonic() > deadline:
                raise AirflowApiError(f"Airflow has not found the DAG {dag_id} within {timeout:.0f} s.")
            time.sleep(0.5)

    def trigger(self, dag_id: str, conf: dict[str, Any] | None = None, *, run_id: str | None = None) -> str:
        """Start a run with the current time as its logical date, as the web page does, and return its id.

        :param run_id: id of the run; None: Airflow generates one.
        """
        body: dict[str, Any] = {"logical_date": datetime.now(timezone.utc).isoformat(), "conf": conf or {}}
        if run_id is not None:
            body["dag_run_id"] = run_id
        run: dict[str, str] = self._send("POST", f"/dags/{dag_id}/dagRuns", json=body)
        return run["dag_run_id"]

    def delete_run(self, dag_id: str, run_id: str) -> None:
        """Delete a DAG run with everything that Airflow stores of it."""
        self._send("DELETE", _run(dag_id, run_id))

    def run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        """Return a DAG run."""
        return self._get(f"/dags/{dag_id}/dagRuns/{run_id}")

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """Return all runs of a DAG."""
        found: list[dict[str, Any]] = self._get(f"/dags/{dag_id}/dagRuns", limit=1000)["dag_runs"]
        return found

    def wait_for_run(self, dag_id: str, run_id: str, *, timeout: float = 180.0) -> str:
        """Wait for the end of a run and return its state.

        :raises AirflowApiError: it did not end within `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while (state := str(self.run(dag_id, run_id)["state"])) not in FINAL_RUN_STATES:
            if time.monotonic() > deadline:
                raise AirflowApiError(f"Run {run_id} of {dag_id} is still {state} after {timeout:.0f} s.")
            time.sleep(0.5)
        return state

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Return the task instances of a run."""
        found: list[dict[str, Any]] = self._get(f"{_run(dag_id, run_id)}/taskInstances", limit=1000)["task_instances"]
        return found

    def task_instance(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> dict[str, Any]:
        """Return one task instance."""
        return self._get(_task(dag_id, run_id, task_id, map_index))

    def tries(self, dag_id: str, run_id: str, task_id: str) -> list[dict[str, Any]]:
        """Return all attempts of a task, oldest first, each as a task instance."""
        found: list[dict[str, Any]] = self._get(f"{_task(dag_id, run_id, task_id, -1)}/tries")["task_instances"]
        return sorted(found, key=lambda task: int(task["try_number"]))

    def events(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Return the audit log of a run, oldest first; it has each change of state that a worker reported."""
        found: list[dict[str, Any]] = self._get(
            "/eventLogs", dag_id=dag_id, run_id=run_id, order_by="event_log_id", limit=1000
        )["event_logs"]
        return found

    def log(self, dag_id: str, run_id: str, task_id: str, *, try_number: int = 1, map_index: int = -1) -> str:
        """Return a task's log as text, including the lines of its trigger."""
        path = f"{_run(dag_id, run_id)}/taskInstances/{task_id}/logs/{try_number}"
        content = self._get(path, full_content=True, map_index=map_index)["content"]
        return "\n".join(_line(entry) for entry in content)

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value", *, map_index: int = -1) -> Any:
        """Return a value that a task has pushed."""
        path = f"{_run(dag_id, run_id)}/taskInstances/{task_id}/xcomEntries/{key}"
        return self._get(path, map_index=map_index, stringify=False)["value"]

    def extra_links(self, dag_id: str, run_id: str, task_id: str) -> dict[str, str | None]:
        """Return the addresses of a task's links by their names; None: there is no button."""
        return dict(self._get(f"{_task(dag_id, run_id, task_id, -1)}/links")["extra_links"])

    def clear(self, dag_id: str, run_id: str, *task_ids: str, downstream: bool = False) -> None:
        """Clear tasks of a run, so that they run again."""
        body = {
            "dry_run": False,
            "dag_run_id": run_id,
            "task_ids": list(task_ids),
            "include_downstream": downstream,
            "only_failed": False,
            "reset_dag_runs": True,
        }
        self._send("POST", f"/dags/{dag_id}/clearTaskInstances", json=body)

    def set_state(self, dag_id: str, run_id: str, task_id: str, state: str, *, map_index: int = -1) -> None:
        """Mark a task instance as `success`, `failed` or `skipped`, as the web page does."""
        self._send("PATCH", _task(dag_id, run_id, task_id, map_index), json={"new_state": state})

    def respond(self, dag_id: str, run_id: str, task_id: str, option: str, *, map_index: int = -1) -> None:
        """Answer a task that waits for a person, as the web page does."""
        body = {"chosen_options": [option], "params_input": {}}
        path = f"{_run(dag_id, run_id)}/taskInstances/{task_id}/{map_index}/hitlDetails"
        self._send("PATCH", path, json=body)

    def question(self, dag_id: str, run_id: str, task_id: str, *, map_index: int = -1) -> str:
        """Return what a task that waits for a person asks."""
        path = f"{_run(dag_id, run_id)}/taskInstances/{task_id}/{map_index}/hitlDetails"
        return str(self._get(path)["subject"])

    def asset_events(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Return the asset events of a run's tasks."""
        found: list[dict[str, Any]] = self._get(
            "/assets/events", source_dag_id=dag_id, source_run_id=run_id, limit=1000
        )["asset_events"]
        return found

    def make_pool(self, name: str, slots: int) -> None:
        """Create a pool with a number of slots."""
        self._send("POST", "/pools", json={"name": name, "slots": slots})

    def write_connection(self, connection_id: str, connection: Mapping[str, Any]) -> None:
        """Create a connection, or replace the one of this id."""
        body = {"connection_id": connection_id, **connection}
        try:
            self._send("POST", "/connections", json=body)
        except AirflowApiError as error:
            if error.status != 409:
                raise
            self._send("PATCH", f"/connections/{connection_id}", json=body)

    def _get(self, path: str, **query: Any) -> dict[str, Any]:
        found: dict[str, Any] = self._send("GET", path, params=query)
        return found

    def _send(self, method: str, path: str, **arguments: Any) -> Any:
        return self._request(method, f"{INSTALLED.api}{path}", **arguments)

    def _request(self, method: str, path: str, **arguments: Any) -> Any:
        try:
            response = self._session.request(method, f"{self.url}{path}", timeout=60, **arguments)
        except requests.RequestException as error:
            raise AirflowApiError(f"{method} {path}: Airflow does not respond ({error}).") from error
        if not response.ok:
            raise AirflowApiError(f"{method} {path}: {response.status_code} {response.text}", response.status_code)
        return response.json() if response.content else None


def _run(dag_id: str, run_id: str) -> str:
    return f"/dags/{dag_id}/dagRuns/{run_id}"


def _task(dag_id: str, run_id: str, task_id: str, map_index: int) -> str:
    path = f"{_run(dag_id, run_id)}/taskInstances/{task_id}"
    return path if map_index < 0 else f"{path}/{map_index}"


def _line(entry: str | dict[str, Any]) -> str:
    """Return one entry of a log as text: time, level, message, and the error with its place."""
    if isinstance(entry, str):
        return entry
    parts = [str(entry.get("timestamp") or "")[11:19], str(entry.get("level") or "").upper(), str(entry["event"])]
    text = " ".join(part for part in parts if part)
    for error in entry.get("error_detail") or []:
        frames = (error.get("frames") or [])[-3:]
        places = [f"    {frame['filename']}:{frame['lineno']} in {frame['name']}" for frame in frames]
        text = "\n".join([text, *places, f"  {error['exc_type']}: {error['exc_value']}"])
    return text
