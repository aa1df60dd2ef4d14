"""What the triggerer does for a sensor that starts in it: wait, end the task, or call a worker."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.triggers.base import BaseTrigger, TaskSuccessEvent

from mkw_airflow_provider.emulator import Emulator
from mkw_airflow_provider.exceptions import ConfigurationError
from mkw_airflow_provider.operators.build import StartBuildOperator
from mkw_airflow_provider.sensors.build import BuildSensor
from tests.airflow.conftest import AIRPLANE, Connect, Log
from tests.kit.tasks import context_of
from tests.kit.triggerer import Supervisor, only, serialised, since_33, started

pytestmark = [since_33, pytest.mark.usefixtures("at_once")]
BUILD = 5139
PATH = f"/api/v1/builds/{BUILD}"


def _sensor(**arguments: Any) -> BuildSensor:
    given = {"task_id": "watch", "build_id": BUILD, "poke_interval": 0.05, "deferrable": True, **arguments}
    return BuildSensor(**given)


def _after_start(**arguments: Any) -> BuildSensor:
    start = StartBuildOperator(task_id="start", project="DEMO_PROJECT", instances=[AIRPLANE])
    return _sensor(build_id=start.output, **arguments)


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
        event = _run(started(serialised(_sensor)))
        assert isinstance(event, TaskSuccessEvent)
        # Airflow 3.3.2 would hand them on as text.
        assert event.xcoms is None
        result = supervisor.xcom["watch", "return_value", -1]
        assert (result["id"], result["status"]) == (build, "FINISHED")
        assert log.lines[-2] == f"Build {build} was watched for 0 s in 1 polls: FINISHED 100 % at 0 s."
        assert log.lines[-1].startswith(f"Build {build} ended FINISHED")

    def test_without_a_result_pushes_none(self, supervisor: Supervisor, emulator: Emulator, build: int) -> None:
        emulator.end_build(build, "FINISHED")
        assert isinstance(_run(started(serialised(lambda: _sensor(do_xcom_push=False)))), TaskSuccessEvent)
        assert supervisor.xcom == {}

    @pytest.mark.parametrize("pushed", [BUILD, str(BUILD)])
    def test_takes_the_id_from_the_task_before(
        self, supervisor: Supervisor, emulator: Emulator, build: int, pushed: Any
    ) -> None:
        supervisor.xcom["start", "return_value", -1] = pushed
        emulator.end_build(build, "FINISHED")
        assert isinstance(_run(started(serialised(_after_start))), TaskSuccessEvent)
        assert supervisor.xcom["watch", "return_value", -1]["id"] == build

    def test_looks_at_once(self, supervisor: Supervisor, emulator: Emulator, build: int, log: Log) -> None:
        log.once(f"Build {build} is BUILDING", lambda: emulator.end_build(build, "FINISHED"))
        _run(started(serialised(lambda: _sensor(poke_interval=0.1))))
        assert len(emulator.requests("GET", PATH)) == 2

    @pytest.mark.parametrize("status", ["FAILED", "CANCELED"])
    def test_of_a_build_that_failed_lets_a_worker_fail_the_task(
        self, supervisor: Supervisor, emulator: Emulator, build: int, status: str
    ) -> None:
        emulator.end_build(build, status)
        event = _run(started(serialised(_sensor)))
        assert not isinstance(event, TaskSuccessEvent)
        with pytest.raises(AirflowFailException, match=status):
            _sensor().execute_complete(context_of(_sensor()), event.payload)

    def test_of_a_retry_lets_a_worker_end_the_task(
        self, supervisor: Supervisor, emulator: Emulator, build: int
    ) -> None:
        """Airflow 3.3.2 would write down the end of the try before."""
        emulator.end_build(build, "FINISHED")
        event = _run(started(serialised(_sensor), try_number=2))
        assert event.payload["outcome"] == "ended"
        assert _sensor().execute_complete(context_of(_sensor()), event.payload)["id"] == build

    def test_without_a_triggerer_lets_the_caller_end_the_task(
        self, supervisor: Supervisor, emulator: Emulator, build: int
    ) -> None:
        """``dag.test()`` takes each event for a payload."""
        emulator.end_build(build, "FINISHED")
        trigger = started(serialised(_sensor))
        trigger.trigger_id = None
        assert _run(trigger).payload["outcome"] == "ended"

    def test_that_cannot_push_lets_a_worker_end_the_task(
        self, supervisor: Supervisor, emulator: Emulator, build: int, log: Log
    ) -> None:
        emulator.end_build(build, "FINISHED")
        trigger = started(serialised(_sensor))
        trigger.task_instance.run_id = "of another supervisor"  # type: ignore[union-attr]
        event = _run(trigger)
        assert event.payload["outcome"] == "ended"
        assert log.lines[-1].startswith("The task's result cannot be pushed without a worker")

    @pytest.mark.parametrize(("pushed", "message"), [(None, "not pushed"), ("tomorrow", "'tomorrow'"), (4.5, "4.5")])
    def test_without_an_id_lets_a_worker_tell(
        self, supervisor: Supervisor, emulator: Emulator, connect: Connect, pushed: Any, message: str
    ) -> None:
        supervisor.xcom["start", "return_value", -1] = pushed
        event = _run(started(serialised(_after_start)))
        assert event.payload == {"outcome": "not started"}
        assert emulator.requests() == []
        task = _sensor()
        # As Airflow sets it when the worker begins.
        task.build_id = pushed
        with pytest.raises(ConfigurationError, match=message):
            task.execute_complete(context_of(task), event.payload)

    def test_that_did_not_start_is_begun_by_a_worker(
        self, supervisor: Supervisor, emulator: Emulator, build: int
    ) -> None:
        emulator.end_build(build, "FINISHED")
        task = _sensor()
        assert task.execute_complete(context_of(task), {"outcome": "not started"})["id"] == build

    def test_keeps_no_secret(self, supervisor: Supervisor, emulator: Emulator, build: int) -> None:
        emulator.end_build(build, "FINISHED")
        trigger = started(serialised(_sensor))
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
        event = _run(started(serialised(lambda: _sensor(**limits)), start=self.START))
        assert event.payload["outcome"] == "timeout"
        assert event.payload["deadline"] == pytest.approx(self.START.timestamp() + seconds)

    def test_is_read_from_a_database_that_keeps_no_zones(self, supervisor: Supervisor, build: int) -> None:
        event = _run(started(serialised(lambda: _sensor(timeout=600)), start=self.START.replace(tzinfo=None)))
        assert event.payload["deadline"] == pytest.approx(self.START.timestamp() + 600)

    def test_counts_from_now_where_airflow_does_not_tell(self, supervisor: Supervisor, build: int) -> None:
        trigger: Any = started(serialised(lambda: _sensor(timeout=0.2)), start=self.START)
        trigger.timeout_after = None
        event = _run(trigger)
        assert event.payload["outcome"] == "timeout"
        assert event.payload["deadline"] > datetime.now(timezone.utc).timestamp() - 60

    def test_in_airflow_comes_an_hour_later(self) -> None:
        """The trigger's own is the one that counts; this one is for a triggerer that is gone."""
        assert serialised(lambda: _sensor(timeout=600)).start_trigger_args.timeout == timedelta(seconds=4200)
