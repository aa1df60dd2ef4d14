"""When a BuildSensor starts in the triggerer, without a worker, and what the triggerer is told."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from mkw_airflow_provider.client.arguments import whole_number
from mkw_airflow_provider.operators.literals import is_literal
from mkw_airflow_provider.operators.without_worker import can_start

if TYPE_CHECKING:
    from airflow.triggers.base import StartTriggerArgs

    from mkw_airflow_provider.sensors.build import BuildSensor

#: Seconds between the end of the wait and Airflow's own time-out. The trigger keeps the time and says how the build is;
#: how long its last look may take stands in the connection, which nobody reads together with the DAG.
GRACE = 3600.0


def starts_in_triggerer(sensor: BuildSensor) -> bool:
    """Whether a sensor needs no worker to start: it is deferrable, and its build's id is a number or another's XCom."""
    return (
        sensor.deferrable
        and is_literal(sensor.metakraftwerk_conn_id)
        and can_start(sensor)
        and _origin(sensor.build_id) is not None
    )


def start_trigger_args(sensor: BuildSensor) -> StartTriggerArgs | None:
    """Return what Airflow makes the trigger from, the same each time the DAG is read; None: a worker makes it."""
    origin = _origin(sensor.build_id) if starts_in_triggerer(sensor) else None
    if origin is None:
        return None
    from airflow.triggers.base import StartTriggerArgs

    wait, backstop = sensor.wait_timeout, sensor.wait_timeout + GRACE
    # Airflow keeps this one, too, as the trigger's time-out.
    limit = float("inf") if sensor.execution_timeout is None else sensor.execution_timeout.total_seconds()
    return StartTriggerArgs(
        trigger_cls="mkw_airflow_provider.triggers.without_worker.SensorTrigger",
        trigger_kwargs={
            **origin,
            "metakraftwerk_conn_id": sensor.metakraftwerk_conn_id,
            "poll_interval": sensor.longest_pause,
            "wait": min(wait, limit),
            "backstop": min(backstop, limit),
            "ends_with": sensor.ends_with,
        },
        next_method="execute_complete",
        timeout=timedelta(seconds=backstop),
    )


def _origin(build_id: Any) -> dict[str, Any] | None:
    """Return where a build's id comes from, in the trigger's words; None if only a worker can tell."""
    if is_literal(build_id):
        return {"build_id": whole_number("build_id", build_id), "from_task": None, "from_key": None}
    # The reference to one XCom; all that is made of several, or by a function, has other classes.
    if type(build_id).__name__ != "PlainXComArg":
        return None
    task = build_id.operator
    if task.is_mapped or task.get_closest_mapped_task_group() is not None:
        return None
    return {"build_id": None, "from_task": task.task_id, "from_key": build_id.key}
