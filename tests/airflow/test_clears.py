"""How clearing changes the attempts of a task: with Airflow's own code and a separate database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import pytest
from airflow import __version__ as airflow_version
from airflow.providers.common.compat.sdk import DAG
from sqlalchemy import delete, select

from mkw_airflow_provider.operators.attempt import Attempt
from mkw_airflow_provider.operators.attempt_record import State
from mkw_airflow_provider.operators.build import StartBuildOperator
from mkw_airflow_provider.operators.build_record import BuildRecord
from tests.airflow.conftest import AIRPLANE

pytestmark = pytest.mark.skipif(
    tuple(int(part) for part in airflow_version.split(".")[:2]) < (3, 2),
    reason="Airflow before 3.2 has other code for this, reached in other ways",
)

RETRIES = 3
RUN = "manual__2026-11-22"
SCHEDULER = 1


@pytest.fixture(scope="module")
def _database() -> Iterator[None]:
    """The tables of Airflow in this process's own Airflow home, and one DAG, as the DAG processor writes it."""
    from airflow import settings
    from airflow.models import import_all_models
    from airflow.models.base import Base
    from airflow.models.dagbundle import DagBundleModel
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.serialization.definitions.dag import SerializedDAG
    from airflow.serialization.serialized_objects import LazyDeserializedDAG
    from airflow.utils.db import synchronize_log_template

    import_all_models()
    Base.metadata.create_all(settings.engine)
    with DAG(dag_id="nightly", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc)) as dag:
        StartBuildOperator(task_id="start", project="DEMO_PROJECT", instances=[AIRPLANE], retries=RETRIES)
    with settings.Session() as session:
        synchronize_log_template(session=session)
        session.add(DagBundleModel(name="dags"))
        session.flush()
        lazy = LazyDeserializedDAG.from_dag(dag)
        SerializedDAG.bulk_write_to_db("dags", None, [lazy], session=session)
        SerializedDagModel.write_dag(lazy, "dags", session=session)
        session.commit()
    yield
    settings.Session.remove()
    Base.metadata.drop_all(settings.engine)


@dataclass
class Task:
    """The task ``start`` of a run, moved on by Airflow's own code."""

    operator: Any
    session: Any

    @property
    def row(self) -> Any:
        """Return its row, which is read each time because some of Airflow's code closes the session."""
        from airflow.models.taskinstance import TaskInstance

        row = self.session.scalars(select(TaskInstance).filter_by(dag_id="nightly", run_id=RUN, task_id="start")).one()
        row.task = self.operator
        return row

    def schedule(self) -> None:
        """The scheduler queues it: an attempt begins."""
        row = self.row
        row.dag_run.schedule_tis([row], session=self.session)
        self.session.refresh(row)

    def runs(self) -> None:
        """A worker has begun the attempt."""
        self.row.queued_by_job_id = SCHEDULER
        self.becomes("running")

    def becomes(self, state: str) -> None:
        self.row.state = state
        self.session.flush()

    def clear(self) -> None:
        """A user clears it."""
        from airflow.models.taskinstance import clear_task_instances

        clear_task_instances([self.row], self.session)
        self.session.flush()

    def executor_says(self, state: str) -> None:
        """The executor tells the scheduler how the process ended."""
        from airflow.executors.local_executor import LocalExecutor
        from airflow.jobs.scheduler_job_runner import SchedulerJobRunner
        from airflow.models.dagbag import DBDagBag

        executor = LocalExecutor(parallelism=1)
        executor.event_buffer[self.row.key] = (state, None)
        SchedulerJobRunner.process_executor_events(executor, SCHEDULER, DBDagBag(), self.session)
        self.session.flush()

    @property
    def state(self) -> str | None:
        state = self.row.state
        return None if state is None else str(state)

    @property
    def attempt(self) -> Attempt:
        """What the product reads of it."""
        attempt = Attempt.of({"ti": self.row, "dag_run": self.row.dag_run})
        assert attempt is not None
        return attempt

    def was_cleared(self, before: Attempt, state: State) -> bool:
        """Whether the product considers it cleared since an attempt that reached this state."""
        record = BuildRecord(
            state=state, marker="", max_tries=before.max_tries, clear_number=before.clear_number, digest=""
        )
        return record.was_cleared_before(self.attempt)


@pytest.fixture
def task(_database: None) -> Iterator[Task]:
    """The task in its first attempt, on a worker."""
    from airflow import settings
    from airflow.models.dagbag import DBDagBag
    from airflow.models.dagrun import DagRun
    from airflow.utils.state import DagRunState
    from airflow.utils.types import DagRunTriggeredByType, DagRunType

    session = settings.Session()
    dag = DBDagBag().get_latest_version_of_dag("nightly", session=session)
    assert dag is not None
    now = datetime.now(timezone.utc)
    dag.create_dagrun(
        run_id=RUN,
        logical_date=now,
        data_interval=(now, now),
        run_after=now,
        run_type=DagRunType.MANUAL,
        triggered_by=DagRunTriggeredByType.TEST,
        state=DagRunState.RUNNING,
        session=session,
    )
    task = Task(dag.get_task("start"), session)
    task.schedule()
    task.runs()
    yield task
    session.execute(delete(DagRun))
    session.commit()


def test_retry_is_not_cleared(task: Task) -> None:
    first = task.attempt
    assert first.try_number == 1
    task.executor_says("failed")
    assert task.state == "up_for_retry"
    task.schedule()
    assert task.attempt.try_number == 2
    assert not task.was_cleared(first, "started")


@pytest.mark.parametrize("state", ["success", "failed", "up_for_retry", "deferred", "queued", "skipped"])
def test_cleared_in_any_state(task: Task, state: str) -> None:
    first = task.attempt
    task.becomes(state)
    task.clear()
    assert task.state is None
    task.schedule()
    second = task.attempt
    assert second.try_number == 2
    assert task.was_cleared(first, "started")
    task.runs()
    task.executor_says("failed")
    task.schedule()
    assert not task.was_cleared(second, "started")


def test_cleared_with_lowered_retries(task: Task) -> None:
    """Airflow leaves max_tries as it was then; a task that was done is known by the run's clear_number."""
    task.row.max_tries = RETRIES + 1
    first = task.attempt
    task.becomes("success")
    task.clear()
    task.schedule()
    assert task.attempt.max_tries == first.max_tries
    assert task.was_cleared(first, "done")
    assert not task.was_cleared(first, "started")


class TestClearedWhileItRuns:
    def test_killed_by_its_supervisor_is_cleared(self, task: Task) -> None:
        """A supervisor that learns of it kills the process; for the executor that is a success."""
        first = task.attempt
        task.clear()
        assert task.state == "restarting"
        task.executor_says("success")
        assert task.state is None
        task.schedule()
        assert task.was_cleared(first, "started")

    def test_dead_worker_is_a_retry(self, task: Task) -> None:
        """A worker that dies, or cannot report the end of a task that was cleared meanwhile, is a failure."""
        first = task.attempt
        task.clear()
        task.executor_says("failed")
        assert task.state == "up_for_retry"
        task.schedule()
        assert not task.was_cleared(first, "started")

    def test_cleared_twice(self, task: Task) -> None:
        first = task.attempt
        task.clear()
        task.clear()
        assert task.state is None
        task.schedule()
        assert task.was_cleared(first, "started")
