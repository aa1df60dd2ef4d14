"""Sensors with ``start_from_trigger`` or ``end_from_trigger``: what works, and what is refused."""

from __future__ import annotations

import asyncio
import re
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, Asset
from airflow.triggers.base import BaseTrigger, TaskSuccessEvent

from mkw_airflow_provider.emulator import Emulator
from mkw_airflow_provider.operators.build import StartBuildOperator
from mkw_airflow_provider.sensors import start
from mkw_airflow_provider.sensors.build import BuildSensor
from tests.airflow.conftest import AIRPLANE, Connect, Log
from tests.kit.tasks import context_of, deferral
from tests.kit.triggerer import Supervisor, only, serialized_task, since_33, started

pytestmark = [since_33, pytest.mark.usefixtures("no_delays")]
BUILD = 5139
PATH = f"/api/v1/builds/{BUILD}"
BOTH = {"start_from_trigger": True, "end_from_trigger": True}


def _sensor(**arguments: Any) -> BuildSensor:
    given = {"task_id": "watch", "build_id": BUILD, "poke_interval": 0.05, "deferrable": True, **BOTH, **arguments}
    return BuildSensor(**given)


def _after_start(**arguments: Any) -> BuildSensor:
    upstream = StartBuildOperator(task_id="start", project="DEMO_PROJECT", instances=[AIRPLANE])
    return _sensor(build_id=upstream.output, **arguments)


@pytest.fixture
def supervisor(monkeypatch: pytest.MonkeyPatch) -> Supervisor:
    return Supervisor(monkeypatch)


@pytest.fixture
def build(emulator: Emulator, connect: Connect) -> int:
    emulator.set(build_seconds=60)
    number: int = emulator.start_build()["id"]
    return number


def _run(trigger: BaseTrigger) -> Any:
    return asyncio.run(only(trigger))


class TestRun:
    def test_of_a_finished_build_ends_the_task(
        self, supervisor: Supervisor, emulator: Emulator, build: int, log: Log
    ) -> None:
        emulator.end_build(build, "FINISHED")
        event = _run(started(serialized_task(_sensor)))
        assert isinstance(event, TaskSuccessEvent)
        # Airflow 3.3.2 would pass them as text.
        assert event.xcoms is None
        result = supervisor.xcom["watch", "return_value", -1]
        assert (result["id"], result["status"]) == (build, "FINISHED")
        assert re.fullmatch(rf"Build {build}: polled 1 time in \d+ s: FINISHED, 100 % at \d+ s\.", log.lines[-2])
        assert log.lines[-1].startswith(f"Build {build} ended FINISHED")

    def test_without_a_result_pushes_none(self, supervisor: Supervisor, emulator: Emulator, build: int) -> None:
        emulator.end_build(build, "FINISHED")
        assert isinstance(_run(started(serialized_task(lambda: _sensor(do_xcom_push=False)))), TaskSuccessEvent)
        assert supervisor.xcom == {}

    @pytest.mark.parametrize("pushed", [BUILD, str(BUILD)])
    def test_reads_the_id_from_the_upstream_task(
        self, supervisor: Supervisor, emulator: Emulator, build: int, pushed: Any
    ) -> None:
        supervisor.xcom["start", "return_value", -1] = pushed
        emulator.end_build(build, "FINISHED")
        assert isinstance(_run(started(serialized_task(_after_start))), TaskSuccessEvent)
        assert supervisor.xcom["watch", "return_value", -1]["id"] == build

    def test_polls_immediately(self, supervisor: Supervisor, emulator: Emulator, build: int, log: Log) -> None:
        log.once(f"Build {build} is BUILDING", lambda: emulator.end_build(build, "FINISHED"))
        _run(started(serialized_task(lambda: _sensor(poke_interval=0.1))))
        assert len(emulator.requests("GET", PATH)) == 2

    @pytest.mark.parametrize("status", ["FAILED", "CANCELED"])
    def test_of_a_failed_build_fails_in_a_worker(
        self, supervisor: Supervisor, emulator: Emulator, build: int, status: str
    ) -> None:
        emulator.end_build(build, status)
        event = _run(started(serialized_task(_sensor)))
        assert not isinstance(event, TaskSuccessEvent)
        with pytest.raises(AirflowFailException, match=status):
            _sensor().execute_complete(context_of(_sensor()), event.payload)

    def test_of_a_retry_ends_in_a_worker(self, supervisor: Supervisor, emulator: Emulator, build: int) -> None:
        """Airflow 3.3.2 would record the end of the previous attempt."""
        emulator.end_build(build, "FINISHED")
        event = _run(started(serialized_task(_sensor), try_number=2))
        assert event.payload["outcome"] == "ended"
        assert _sensor().execute_complete(context_of(_sensor()), event.payload)["id"] == build

    def test_without_a_triggerer_ends_in_the_caller(
        self, supervisor: Supervisor, emulator: Emulator, build: int
    ) -> None:
        """``dag.test()`` treats each event as a payload."""
        emulator.end_build(build, "FINISHED")
        trigger = started(serialized_task(_sensor))
        trigger.trigger_id = None
        assert _run(trigger).payload["outcome"] == "ended"

    def test_that_cannot_push_ends_in_a_worker(
        self, supervisor: Supervisor, emulator: Emulator, build: int, log: Log
    ) -> None:
        emulator.end_build(build, "FINISHED")
        trigger = started(serialized_task(_sensor))
        trigger.task_instance.run_id = "of another supervisor"  # type: ignore[union-attr]
        event = _run(trigger)
        assert event.payload["outcome"] == "ended"
        assert log.lines[-1].startswith("A worker ends the task, because its result could not be pushed here")

    @pytest.mark.parametrize(
        ("pushed", "message"), [(None, "rendered to nothing"), ("tomorrow", "'tomorrow'"), (4.5, "4.5")]
    )
    def test_without_an_id_fails_in_a_worker(
        self, supervisor: Supervisor, emulator: Emulator, connect: Connect, pushed: Any, message: str
    ) -> None:
        supervisor.xcom["start", "return_value", -1] = pushed
        event = _run(started(serialized_task(_after_start)))
        assert event.payload == {"outcome": "not started"}
        assert emulator.requests() == []
        task = _sensor()
        # As Airflow sets it when the worker begins.
        task.build_id = pushed
        with pytest.raises(AirflowFailException, match=message):
            task.execute_complete(context_of(task), event.payload)

    def test_that_did_not_start_begins_in_a_worker(
        self, supervisor: Supervisor, emulator: Emulator, build: int
    ) -> None:
        emulator.end_build(build, "FINISHED")
        task = _sensor()
        assert task.execute_complete(context_of(task), {"outcome": "not started"})["id"] == build

    def test_keeps_no_secret(self, supervisor: Supervisor, emulator: Emulator, build: int) -> None:
        emulator.end_build(build, "FINISHED")
        trigger = started(serialized_task(_sensor))
        _run(trigger)
        (token,) = emulator.tokens()
        for secret in (token["token"], emulator.connection["password"]):
            assert secret not in repr(trigger)
            assert secret not in repr(supervisor.xcom)


class TestDeadline:
    """It counts from the start of the task, which a restart of the triggerer does not change."""

    START = datetime(2026, 11, 22, 2, 0, tzinfo=timezone.utc)

    @pytest.mark.parametrize(
        ("limits", "seconds"),
        [
            ({"timeout": 600}, 600),
            ({"timeout": 600, "execution_timeout": timedelta(seconds=900)}, 600),
            ({"timeout": 600, "execution_timeout": timedelta(seconds=300)}, 300),
            ({"timeout": 600, "execution_timeout": timedelta(hours=2)}, 600),
        ],
    )
    def test_is_the_earlier_of_both_limits(
        self, supervisor: Supervisor, build: int, limits: dict[str, Any], seconds: int
    ) -> None:
        event = _run(started(serialized_task(lambda: _sensor(**limits)), start=self.START))
        assert event.payload["outcome"] == "timeout"
        assert event.payload["deadline"] == pytest.approx(self.START.timestamp() + seconds)

    def test_naive_start_date_counts_as_utc(self, supervisor: Supervisor, build: int) -> None:
        event = _run(started(serialized_task(lambda: _sensor(timeout=600)), start=self.START.replace(tzinfo=None)))
        assert event.payload["deadline"] == pytest.approx(self.START.timestamp() + 600)

    def test_counts_from_now_without_a_start_date(self, supervisor: Supervisor, build: int) -> None:
        trigger: Any = started(serialized_task(lambda: _sensor(timeout=0.2)), start=self.START)
        trigger.timeout_after = None
        event = _run(trigger)
        assert event.payload["outcome"] == "timeout"
        assert event.payload["deadline"] > datetime.now(timezone.utc).timestamp() - 60

    def test_of_airflow_is_an_hour_later(self) -> None:
        """The trigger's own deadline counts; this one is for a triggerer that has died."""
        assert serialized_task(lambda: _sensor(timeout=600)).start_trigger_args.timeout == timedelta(seconds=4200)


class TestOptions:
    def test_are_off_by_default(self) -> None:
        task = serialized_task(lambda: _sensor(start_from_trigger=False, end_from_trigger=False))
        assert task.start_from_trigger is False
        assert BuildSensor(task_id="watch", build_id=BUILD, deferrable=True).end_from_trigger is False

    def test_do_nothing_unless_deferrable(self) -> None:
        assert serialized_task(lambda: _sensor(deferrable=False)).start_from_trigger is False

    def test_end_alone_defers_from_a_worker(self, emulator: Emulator, connect: Connect) -> None:
        emulator.set(build_seconds=60)
        emulator.start_build()
        task = _sensor(start_from_trigger=False)
        assert serialized_task(lambda: _sensor(start_from_trigger=False)).start_from_trigger is False
        assert deferral(task, context_of(task)).trigger.end_from_trigger is True

    @pytest.mark.parametrize(
        ("arguments", "reason"),
        [
            ({"build_id": "{{ params.build }}"}, "`build_id` must be a number"),
            ({"metakraftwerk_conn_id": "{{ params.id }}"}, "`metakraftwerk_conn_id` must not be a template"),
            ({"outlets": [Asset("metakraftwerk://host/project/pattern")]}, "no asset event for `outlets`"),
            ({"on_success_callback": print}, "`on_success_callback`"),
            ({"on_execute_callback": print}, "`on_execute_callback`"),
            ({"pre_execute": print}, "`pre_execute` need a worker"),
            ({"post_execute": print}, "`post_execute` need a worker"),
            ({"multiple_outputs": True}, "`multiple_outputs`"),
        ],
    )
    def test_that_cannot_work_are_refused(self, arguments: dict[str, Any], reason: str) -> None:
        with pytest.raises(Exception, match=f"cannot work for task 'watch': .*{reason}"):
            serialized_task(lambda: _sensor(**arguments))

    def test_end_is_refused_with_a_mapped_downstream(self) -> None:
        def make() -> BuildSensor:
            sensor = _sensor()
            BuildSensor.partial(task_id="mapped").expand(build_id=sensor.output)
            return sensor

        with pytest.raises(Exception, match="a task is mapped over its result"):
            serialized_task(make)

    def test_need_airflow_3_3(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(start, "AIRFLOW_V_3_3_PLUS", False)
        with pytest.raises(Exception, match=r"this needs Airflow 3\.3 or later"):
            serialized_task(_sensor)
