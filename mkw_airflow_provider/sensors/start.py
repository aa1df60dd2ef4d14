"""What Airflow must know of a BuildSensor that starts in the triggerer, without a worker (Airflow 3.3 and later)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from mkw_airflow_provider.client.validation import whole_number
from mkw_airflow_provider.exceptions import ConfigurationError
from mkw_airflow_provider.operators.template_checks import is_literal
from mkw_airflow_provider.version_compat import AIRFLOW_V_3_3_PLUS

if TYPE_CHECKING:
    from airflow.triggers.base import StartTriggerArgs

    from mkw_airflow_provider.sensors.build import BuildSensor

#: Seconds between the end of the wait and Airflow's own timeout. The trigger keeps the deadline and says how the build
#: is; how long its last poll may take is in the connection, which is not read together with the DAG.
GRACE = 3600.0


class PerTask:
    """An attribute that is computed for each task. A mapped task reads it from the class, where it is a constant.

    :param constant: the value of the class.
    :param compute: returns the value of a task.
    """

    def __init__(self, constant: Any, compute: Callable[[Any], Any]) -> None:
        self._constant = constant
        self._compute = compute

    def __get__(self, task: Any, _: Any) -> Any:
        """Return the value."""
        return self._constant if task is None else self._compute(task)


def start_from_trigger(sensor: BuildSensor) -> bool:
    """Return whether a sensor starts in the triggerer. Airflow asks when it reads the DAG, with all tasks known.

    :raises ConfigurationError: if ``start_from_trigger`` or ``end_from_trigger`` cannot work for this sensor.
    """
    if sensor.has_dag():  # type: ignore[no-untyped-call]
        check_options(sensor)
    return sensor.starts_in_triggerer


def check_options(sensor: BuildSensor) -> None:
    """Check that a sensor can start and end in the triggerer as it is told to.

    :raises ConfigurationError: with every reason why it cannot.
    """
    options = [
        name
        for name, on in (
            ("start_from_trigger", sensor.starts_in_triggerer),
            ("end_from_trigger", sensor.end_from_trigger),
        )
        if on
    ]
    if not options:
        return
    problems = []
    if not AIRFLOW_V_3_3_PLUS:
        problems.append("this needs Airflow 3.3 or later")
    if sensor.starts_in_triggerer:
        problems += _against_start(sensor)
    if sensor.end_from_trigger:
        problems += _against_end(sensor)
    if problems:
        names = " and ".join(f"`{name}`" for name in options)
        raise ConfigurationError(f"{names} cannot work for task {sensor.task_id!r}: {'; '.join(problems)}")


def _against_start(sensor: BuildSensor) -> list[str]:
    problems = []
    if _origin(sensor) is None:
        problems.append(
            "`build_id` must be a number or the output of a task that is not mapped, because templates are rendered in "
            "a worker"
        )
    if not is_literal(sensor.metakraftwerk_conn_id):
        problems.append("`metakraftwerk_conn_id` must not be a template, because templates are rendered in a worker")
    if sensor.on_execute_callback or getattr(sensor, "_pre_execute_hook", None) is not None:
        problems.append("`on_execute_callback` and `pre_execute` need a worker")
    if sensor.get_closest_mapped_task_group() is not None:
        problems.append("tasks of a mapped task group start in a worker")
    return problems


def _against_end(sensor: BuildSensor) -> list[str]:
    problems = []
    if sensor.outlets:
        problems.append("Airflow emits no asset event for `outlets` without a worker")
    if sensor.on_success_callback or getattr(sensor, "_post_execute_hook", None) is not None:
        problems.append("`on_success_callback` and `post_execute` need a worker")
    if sensor.multiple_outputs:
        problems.append("`multiple_outputs` needs a worker")
    if next(sensor.iter_mapped_dependants(), None) is not None:
        problems.append("a task is mapped over its result, which only a worker can push for that")
    return problems


def start_trigger_args(sensor: BuildSensor) -> StartTriggerArgs | None:
    """Return what Airflow makes the trigger from, the same each time it reads the DAG; None: a worker makes it."""
    if not sensor.starts_in_triggerer or not AIRFLOW_V_3_3_PLUS:
        return None
    origin = _origin(sensor)
    if origin is None:
        return None
    # Here and not above: a DAG file loads it only if one of its sensors starts in the triggerer.
    from airflow.triggers.base import StartTriggerArgs

    timeout, backstop = sensor.wait_timeout, sensor.wait_timeout + GRACE
    # Airflow keeps this one, too, as the trigger's timeout.
    execution = float("inf") if sensor.execution_timeout is None else sensor.execution_timeout.total_seconds()
    return StartTriggerArgs(
        trigger_cls="mkw_airflow_provider.triggers.started.StartedBuildTrigger",
        trigger_kwargs={
            **origin,
            "metakraftwerk_conn_id": sensor.metakraftwerk_conn_id,
            "poll_interval": sensor.longest_pause,
            "timeout": min(timeout, execution),
            "backstop": min(backstop, execution),
            "limit": "timeout" if timeout <= execution else "execution_timeout",
            "end_from_trigger": sensor.end_from_trigger,
            "push_result": sensor.do_xcom_push,
        },
        next_method="execute_complete",
        timeout=timedelta(seconds=backstop),
    )


def _origin(sensor: BuildSensor) -> dict[str, Any] | None:
    """Return where the build's id comes from, as arguments of the trigger; None if only a worker can tell."""
    build_id: Any = sensor.build_id
    if is_literal(build_id):
        return {"build_id": whole_number("build_id", build_id), "from_task": None, "from_key": None}
    # The reference to one XCom; whatever is made of several, or by a function, has other classes.
    if type(build_id).__name__ != "PlainXComArg":
        return None
    task = build_id.operator
    if task.is_mapped or task.get_closest_mapped_task_group() is not None:
        return None
    return {"build_id": None, "from_task": task.task_id, "from_key": build_id.key}
