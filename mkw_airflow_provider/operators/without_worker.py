"""Where a wait needs no worker: since Airflow 3.3, a task can start and end in the triggerer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from airflow import __version__ as airflow_version
from airflow.providers.common.compat.sdk import conf

#: The first Airflow that starts tasks in the triggerer again, as it did until 2.11.
SINCE = (3, 3)
#: The triggerer reads the whole DAG, on its event loop, for each task that it starts: 4 ms for 100 tasks.
LARGEST_DAG = 200


class OfEachTask:
    """An attribute that a task reckons from what it is when it is asked. A mapped task asks the class: a constant.

    :param constant: of the class.
    :param reckon: returns the task's value.
    """

    def __init__(self, constant: Any, reckon: Callable[[Any], Any]) -> None:
        self._constant = constant
        self._reckon = reckon

    def __get__(self, task: Any, _: Any) -> Any:
        """Return the value."""
        return self._constant if task is None else self._reckon(task)


def can_end(task: Any) -> bool:
    """Whether nothing is left for a worker to do once the build is FINISHED but to push the result."""
    return _ends_plainly(task) and not is_mapped_over(task)


def starts_plainly(task: Any) -> bool:
    """Whether nothing is left for a worker to do, nor for the scheduler to limit, unless the task is mapped over."""
    return (
        _ends_plainly(task)
        and len(task.dag.task_dict) <= LARGEST_DAG
        and not task.inlets
        and not task.on_execute_callback
        and getattr(task, "_pre_execute_hook", None) is None
        and task.pool == "default_pool"
        and task.max_active_tis_per_dag is None
        and task.max_active_tis_per_dagrun is None
        and not conf.getboolean("triggerer", "queues_enabled", fallback=False)
        and task.get_closest_mapped_task_group() is None
    )


def is_mapped_over(task: Any) -> bool:
    """Whether others expand over what the task returns: to ask last, for it takes longer, the larger the DAG is."""
    return next(task.iter_mapped_dependants(), None) is not None


def _ends_plainly(task: Any) -> bool:
    return (
        tuple(int(part) for part in airflow_version.split(".")[:2]) >= SINCE
        and task.has_dag()
        and type(task).__module__.startswith("mkw_airflow_provider.")
        and not task.multiple_outputs
        and not getattr(task, "returns_dag_result", False)
        and not task.outlets
        and not task.on_success_callback
        and getattr(task, "_post_execute_hook", None) is None
    )
