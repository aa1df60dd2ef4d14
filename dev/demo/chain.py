"""Follow a DAG run to its end: the states of its tasks and the progress of its build.

Airflow's audit log has what workers reported; what happens in the triggerer is visible in task instances only.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from dev.stack.rest import FINAL_RUN_STATES, AirflowApiError, AirflowClient
from mkw_airflow_provider.emulator import Control

# Progress is shown in steps of this many percent, to limit the number of lines.
STEP = 20

_WITHOUT_WORKER = frozenset({"deferred", "success", "failed", "skipped", "upstream_failed"})
_MEANINGS = {
    "deferred": "the triggerer waits, no worker is used",
    "up_for_retry": "Airflow retries after a pause",
    "upstream_failed": "an earlier task failed",
}

Show = Callable[[float, str, str, str], None]
"""Called for each change: seconds since the run was triggered, what changed, its new state, what that means."""


@dataclass(frozen=True)
class Finished:
    """A run that has ended."""

    dag_id: str
    run_id: str
    state: str
    events: list[dict[str, Any]]
    task_instances: list[dict[str, Any]]

    @property
    def succeeded(self) -> bool:
        """Whether the run succeeded."""
        return self.state == "success"


@dataclass(frozen=True)
class Time:
    """How long a task took, in seconds.

    :param total: from its first start to its end, including the wait.
    :param on_worker: the part of it that used a worker.
    """

    total: float
    on_worker: float


def run(client: AirflowClient, control: Control, dag_id: str, show: Show, *, timeout: float = 300.0) -> Finished:
    """Trigger a DAG, show each change, and return when the run has ended.

    :param timeout: time limit in seconds.
    :raises AirflowApiError: Airflow does not know the DAG, or the run did not end in time.
    """
    client.wait_for_dag(dag_id)
    triggered = datetime.now(timezone.utc)
    run_id = client.trigger(dag_id)
    show(0.0, "run", "triggered", run_id)
    deadline = time.monotonic() + timeout
    seen, quiet, progress = 0, set[tuple[str, str]](), _progress(control, run_id)
    while True:
        # The states come first: what is read after them includes everything that led to them.
        state = str(client.run(dag_id, run_id)["state"])
        task_instances = client.task_instances(dag_id, run_id)
        events = client.events(dag_id, run_id)
        for event in events[seen:]:
            if event["task_id"]:
                changed, meaning = _meaning(event, events)
                show((_moment(event["when"]) - triggered).total_seconds(), _name(event), changed, meaning)
        seen = len(events)
        for task_id, reached_state in sorted(_unreported(task_instances, events) - quiet):
            quiet.add((task_id, reached_state))
            elapsed = (datetime.now(timezone.utc) - triggered).total_seconds()
            show(elapsed, _short(task_id), reached_state, _MEANINGS.get(reached_state, ""))
        before, progress = progress, _progress(control, run_id)
        for build, reached in progress.items():
            if before.get(build) != reached:
                show((datetime.now(timezone.utc) - triggered).total_seconds(), build, *reached)
        if state in FINAL_RUN_STATES:
            return Finished(dag_id, run_id, state, events, task_instances)
        if time.monotonic() > deadline:
            raise AirflowApiError(f"Run {run_id} of {dag_id} is still {state} after {timeout:.0f} s.")
        time.sleep(0.4)


def times(finished: Finished, task_id: str) -> Time:
    """Return how long a task took, and how long of it used a worker.

    A task uses a worker from each reported `running` to the next reported state: `deferred` hands the wait to the
    triggerer.
    """
    (task,) = (task for task in finished.task_instances if task["task_id"] == task_id)
    own = [event for event in finished.events if event["task_id"] == task_id]
    on_worker = sum(
        (_moment(after["when"]) - _moment(before["when"])).total_seconds()
        for before, after in itertools.pairwise(own)
        if before["event"] == "running"
    )
    total = (_moment(task["end_date"]) - _moment(task["start_date"])).total_seconds()
    return Time(total=total, on_worker=on_worker)


def _unreported(task_instances: list[dict[str, Any]], events: list[dict[str, Any]]) -> set[tuple[str, str]]:
    """Return tasks and states that they reached without a worker, because they started or ended in the triggerer."""
    reached = {
        (str(task["task_id"]), str(task["state"])) for task in task_instances if task["state"] in _WITHOUT_WORKER
    }
    return reached - {(str(event["task_id"]), str(event["event"])) for event in events}


def _progress(control: Control, run_id: str) -> dict[str, tuple[str, str]]:
    """Return the progress of the builds of one run, and the reason if one failed. Other DAGs may build as well."""
    reached = {}
    for build in control.builds():
        if run_id not in str(build["description"]):
            continue
        if build["status"] == "BUILDING":
            percent = int(build.get("progress") or 0)
            reached[f"build {build['id']}"] = (f"BUILDING {percent - percent % STEP} %", "")
        else:
            reason = str(build["message"]) if build["status"] == "FAILED" else ""
            reached[f"build {build['id']}"] = (str(build["status"]), reason)
    return reached


def _name(event: Mapping[str, Any]) -> str:
    """Return a task's name without its groups, and with its map index if it is mapped."""
    index = event.get("map_index")
    return f"{_short(event['task_id'])}{'' if index is None or int(index) < 0 else f'[{index}]'}"


def _short(task_id: str) -> str:
    return task_id.rpartition(".")[2]


def _meaning(event: Mapping[str, Any], events: list[dict[str, Any]]) -> tuple[str, str]:
    state = str(event["event"])
    if state == "running":
        earlier = [e["event"] for e in events[: events.index(dict(event))] if e["task_id"] == event["task_id"]]
        return state, "again, on a worker" if "deferred" in earlier[-1:] else "on a worker"
    return state, _MEANINGS.get(state, "")


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
