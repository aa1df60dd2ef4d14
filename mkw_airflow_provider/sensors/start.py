"""When a BuildSensor starts in the triggerer, without a worker, and what the triggerer is told."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from mkw_airflow_provider.client.validation import whole_number
from mkw_airflow_provider.operators.template_checks import is_literal
from mkw_airflow_provider.operators.without_worker import is_mapped_over, starts_plainly

if TYPE_CHECKING:
    from airflow.triggers.base import StartTriggerArgs

    from mkw_airflow_provider.sensors.build import BuildSensor

#: Seconds between the end of the wait and Airflow's own time-out. The trigger keeps the time and says how the build is;
#: how long its last look may take stands in the connection, which nobody reads together with the DAG.
GRACE = 3600.0


def starts_in_triggerer(sensor: BuildSensor) -> bool:
    """Whether a sensor needs no worker to start: it is deferrable, and its build's id is a number or another's XCom."""
    return _origin(sensor) is not None and not is_mapped_over(sensor)


def start_trigger_args(sensor: BuildSensor) -> StartTriggerArgs | None:
    """Return what Airflow makes the trigger from, the same each time the DAG is read; None: a worker makes it.

    Airflow asks for it several times each time that it reads the DAG, and heeds it only where the sensor starts in the
    triggerer. So this does not ask again whether the sensor is mapped over.
    """
    origin = _origin(sensor)
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


def _origin(sensor: BuildSensor) -> dict[str, Any] | None:
    """Return where the build's id comes from, in the trigger's words; None if only a worker can tell, or is needed."""
    if not (sensor.deferrable and is_literal(sensor.metakraftwerk_conn_id) and starts_plainly(sensor)):
        return None
    build_id: Any = sensor.build_id
    if is_literal(build_id):
        return {"build_id": whole_number("build_id", build_id), "from_task": None, "from_key": None}
    # The reference to one XCom; all that is made of several, or by a function, has other classes.
    if type(build_id).__name__ != "PlainXComArg":
        return None
    task = build_id.operator
    if task.is_mapped or task.get_closest_mapped_task_group() is not None:
        return None
    return {"build_id": None, "from_task": task.task_id, "from_key": build_id.key}
