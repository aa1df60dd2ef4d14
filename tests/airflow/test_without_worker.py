"""Which tasks start and end in the triggerer, and which still need a worker."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from mkw_airflow_provider.emulator import Emulator
from mkw_airflow_provider.operators import without_worker
from mkw_airflow_provider.operators.build import StartBuildOperator
from mkw_airflow_provider.sensors.build import BuildSensor
from tests.airflow.conftest import AIRPLANE, Connect
from tests.kit.tasks import TRY_OUT_DAG, context_of, deferral, through_database
from tests.kit.triggerer import serialised, since_33

pytestmark = [since_33, pytest.mark.usefixtures("at_once")]
BUILD = 5139
PATH = f"/api/v1/builds/{BUILD}"


def _start(**arguments: Any) -> StartBuildOperator:
    return StartBuildOperator(**{"task_id": "start", "project": "DEMO_PROJECT", "instances": [AIRPLANE], **arguments})


def _sensor(**arguments: Any) -> BuildSensor:
    given = {"task_id": "watch", "build_id": BUILD, "poke_interval": 0.05, "deferrable": True, **arguments}
    return BuildSensor(**given)


def _after_start(**arguments: Any) -> BuildSensor:
    return _sensor(build_id=_start().output, **arguments)


class OwnSensor(BuildSensor):
    """One that a user has changed."""


def _grouped() -> Any:
    from airflow.sdk import task_group

    @task_group
    def each(number: int) -> None:
        _sensor()

    each.expand(number=[1, 2])
    return _Named("each.watch")


def _of_a_group() -> Any:
    from airflow.sdk import task_group

    @task_group
    def each(number: int) -> Any:
        return _start().output

    return _sensor(build_id=each.expand(number=[1, 2]))


def _mapped_over() -> Any:
    from airflow.sdk import task

    @task
    def follow(value: Any) -> None:
        """Run once for each of what the sensor returned."""

    sensor = _sensor()
    follow.expand(value=sensor.output)
    return sensor


def _crowded() -> Any:
    for number in range(without_worker.LARGEST_DAG):
        _start(task_id=f"start_{number}")
    return _sensor()


def _changed_later() -> Any:
    from airflow.sdk import Asset

    sensor = _sensor()
    sensor.outlets.append(Asset("warehouse"))
    return sensor


class _Named:
    def __init__(self, task_id: str) -> None:
        self.task_id = task_id


def _noop(*_: Any, **__: Any) -> None:
    """A callback."""


def _asset() -> Any:
    from airflow.sdk import Asset

    return Asset("warehouse")


STARTS: dict[str, Callable[[], Any]] = {
    "a number": _sensor,
    "a number as text": lambda: _sensor(build_id=str(BUILD)),
    "the output of another task": _after_start,
    "another XCom of another task": lambda: _sensor(build_id=_start().output["build_id"]),
    "no result": lambda: _sensor(do_xcom_push=False),
    "callbacks of failures": lambda: _sensor(on_failure_callback=_noop, on_retry_callback=_noop),
    "retries": lambda: _sensor(retries=3, execution_timeout=timedelta(minutes=5)),
}
NEEDS_A_WORKER: dict[str, Callable[[], Any]] = {
    "not deferrable": lambda: _sensor(deferrable=False),
    "a template": lambda: _sensor(build_id="{{ params.build }}"),
    "a template for the connection": lambda: _sensor(metakraftwerk_conn_id="{{ params.connection }}"),
    "the output of a mapped task": lambda: _sensor(
        build_id=StartBuildOperator.partial(task_id="start", project="DEMO_PROJECT")
        .expand(instances=[[AIRPLANE], [AIRPLANE]])
        .output
    ),
    "the output of a mapped group": _of_a_group,
    "an output that a function changes": lambda: _sensor(build_id=_start().output.map(str)),
    "mapped": lambda: BuildSensor.partial(task_id="watch", deferrable=True).expand(build_id=[1, 2]),
    "in a mapped group": _grouped,
    "mapped over": _mapped_over,
    "a class of one's own": lambda: OwnSensor(task_id="watch", build_id=BUILD, deferrable=True),
    "a callback of the start": lambda: _sensor(on_execute_callback=_noop),
    "a callback of success": lambda: _sensor(on_success_callback=_noop),
    "something before": lambda: _sensor(pre_execute=_noop),
    "something after": lambda: _sensor(post_execute=_noop),
    "an inlet": lambda: _sensor(inlets=[_asset()]),
    "an outlet": lambda: _sensor(outlets=[_asset()]),
    "an outlet set later": _changed_later,
    "several outputs": lambda: _sensor(multiple_outputs=True),
    "a pool": lambda: _sensor(pool="metakraftwerk"),
    "a limit of tasks": lambda: _sensor(max_active_tis_per_dag=2),
    "a limit of tasks in a run": lambda: _sensor(max_active_tis_per_dagrun=2),
    "a large DAG": _crowded,
}


def _heeded(task: Any) -> Any:
    """Return what the scheduler makes a task's trigger from, by Airflow's own code; None: a worker starts it."""
    from airflow.models.taskinstance import TaskInstance

    reckon: Any = TaskInstance.start_trigger_args
    return reckon.fget(SimpleNamespace(task=task))


class TestWhere:
    @pytest.mark.parametrize("name", STARTS)
    def test_a_sensor_needs_no_worker_with(self, name: str) -> None:
        task = serialised(STARTS[name])
        assert task.start_from_trigger is True
        assert _heeded(task).next_method == "execute_complete"

    @pytest.mark.parametrize("name", NEEDS_A_WORKER)
    def test_a_sensor_needs_a_worker_with(self, name: str) -> None:
        task = serialised(NEEDS_A_WORKER[name])
        assert not task.start_from_trigger
        assert _heeded(task) is None

    def test_a_sensor_needs_a_worker_where_triggerers_have_queues(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AIRFLOW__TRIGGERER__QUEUES_ENABLED", "True")
        assert not serialised(_sensor).start_from_trigger

    @pytest.mark.parametrize("version", ["2.11.2", "3.2.2"])
    def test_a_sensor_needs_a_worker_before_airflow_33(self, monkeypatch: pytest.MonkeyPatch, version: str) -> None:
        monkeypatch.setattr(without_worker, "airflow_version", version)
        assert not serialised(_sensor).start_from_trigger

    def test_a_dag_is_walked_through_once_for_a_sensor_each_time_it_is_serialised(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A walk takes longer, the larger the DAG is; and it is not remembered, for the DAG may grow."""
        from airflow.sdk import DAG
        from airflow.serialization.serialized_objects import DagSerialization

        walk, walked = BuildSensor.iter_mapped_dependants, []

        def counted(sensor: BuildSensor) -> Any:
            walked.append(sensor.task_id)
            return walk(sensor)

        with DAG(TRY_OUT_DAG, schedule=None) as dag:
            for number in range(3):
                _sensor(task_id=f"watch_{number}")
        monkeypatch.setattr(BuildSensor, "iter_mapped_dependants", counted)
        for _ in range(2):
            DagSerialization.to_dict(dag)
            assert sorted(walked) == ["watch_0", "watch_1", "watch_2"]
            walked.clear()

    def test_reading_the_dag_again_changes_nothing(self) -> None:
        """Else each reading would make a new version of the DAG."""
        first, second = (serialised(_after_start).start_trigger_args for _ in range(2))
        assert first == second


def _deferred_in(make: Callable[[], Any]) -> Any:
    """Return the trigger that a task defers to from a worker, in a DAG."""
    from airflow.sdk import DAG

    with DAG(TRY_OUT_DAG, schedule=None):
        task = make()
    return deferral(task, context_of(task)).trigger


class TestEndOfADeferredTask:
    @pytest.fixture(autouse=True)
    def _a_build(self, emulator: Emulator, connect: Connect) -> None:
        emulator.set(build_seconds=60)
        emulator.start_build()

    @pytest.mark.parametrize(
        ("make", "ends_with"),
        [
            (_sensor, "build"),
            (lambda: _sensor(do_xcom_push=False), "nothing"),
            (lambda: _sensor(build_id=f"{BUILD}", pool="metakraftwerk"), "build"),
            (lambda: _start(wait_for_completion=True, deferrable=True), "build_id"),
        ],
    )
    def test_is_the_triggers(self, make: Callable[[], Any], ends_with: str) -> None:
        trigger = through_database(_deferred_in(make))
        assert trigger.ends_with == ends_with  # type: ignore[attr-defined]

    @pytest.mark.parametrize(
        "name",
        ["a class of one's own", "a callback of success", "something after", "an outlet", "several outputs"],
    )
    def test_is_a_workers_with(self, name: str) -> None:
        assert not hasattr(_deferred_in(NEEDS_A_WORKER[name]), "ends_with")

    def test_is_a_workers_outside_a_dag(self) -> None:
        task = _sensor()
        assert not hasattr(deferral(task, context_of(task)).trigger, "ends_with")
