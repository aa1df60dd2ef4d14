"""Which task of Airflow has started a build."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection
from urllib.parse import quote

from mkw_airflow_provider.client.api.builds import Build
from mkw_airflow_provider.client.flows.build_marker import BuildMarker, task_key
from mkw_airflow_provider.plugin import airflow_models
from mkw_airflow_provider.plugin.airflow_models import TaskKey

#: Seconds for which the tasks are remembered.
MAX_AGE = 10.0


class Owners:
    """Tells by the marker in a build's description whose build it is. A made-up description names no task.

    :param base: path of Airflow's own pages, without a slash at the end.
    :param readable: ids of the DAGs that the user may read; other tasks are not named.
    """

    def __init__(self, base: str, readable: Collection[str]) -> None:
        self._base = base
        self._tasks = {key: task for key, task in _starting_tasks().items() if task.dag_id in readable}

    def task_of(self, build: Build) -> TaskKey | None:
        """Return the task that has started a build; None if that is not known."""
        marker = BuildMarker.find(build.description)
        return None if marker is None else self._tasks.get(marker.task)

    def label_of(self, build: Build) -> str:
        """Return who has started a build, for people."""
        task = self.task_of(build)
        if task is not None:
            return f"{task.dag_id} · {task.task_id}" + (f" [{task.map_index}]" if task.map_index >= 0 else "")
        if BuildMarker.find(build.description) is not None:
            return "Airflow"
        return "unknown" if build.user_id is None else f"user {build.user_id}"

    def link_of(self, build: Build) -> str:
        """Return the address of the task's page; empty if the task is not known."""
        task = self.task_of(build)
        return "" if task is None else task_page(self._base, task)

    def group_of(self, build: Build) -> str:
        """Return by what the page filters: the DAG's id, ``airflow`` or ``people`` in parentheses."""
        task = self.task_of(build)
        if task is not None:
            return task.dag_id
        return "(people)" if BuildMarker.find(build.description) is None else "(airflow)"


def task_page(base: str, task: TaskKey) -> str:
    """Return the address of a task instance in Airflow's pages."""
    dag, run, name = (quote(part, safe="") for part in task[:3])
    mapped = f"/mapped/{task.map_index}" if task.map_index >= 0 else ""
    return f"{base}/dags/{dag}/runs/{run}/tasks/{name}{mapped}"


_lock = threading.Lock()
_known: tuple[float, dict[str, TaskKey]] = (float("-inf"), {})


def _starting_tasks() -> dict[str, TaskKey]:
    global _known  # one cache for all pages of this process
    with _lock:
        moment, tasks = _known
        if time.monotonic() - moment > MAX_AGE:
            tasks = {task_key(*task): task for task in airflow_models.find_starting_tasks()}
            _known = (time.monotonic(), tasks)
    return tasks
