"""A program: tasks that are deferred already, and a real triggerer for them, on the database of its environment.

Usage: python deferred_tasks.py SECONDS '{"TASK": ["TRIGGER CLASS", {ARGUMENTS}], ...}'

Prints as JSON how each task is when none is deferred any more or the time is over, and whether the triggerer still
runs. No scheduler is needed: the triggerer itself hands a task back by making it "scheduled".
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

DAG_FILE = """
from airflow.sdk import DAG
from airflow.sdk.bases.operator import BaseOperator

with DAG("deferred", schedule=None):
    for task in {tasks!r}:
        BaseOperator(task_id=task)
"""


def main() -> None:
    from airflow.utils.db import initdb
    from airflow.utils.session import create_session

    seconds, tasks = float(sys.argv[1]), json.loads(sys.argv[2])
    initdb()
    _write_dag(list(tasks))
    with create_session() as session:
        _defer(tasks, session)
    log = Path(os.environ["AIRFLOW_HOME"], "triggerer.log")
    with log.open("w") as file:
        triggerer = subprocess.Popen(
            [sys.executable, "-m", "airflow", "triggerer", "--skip-serve-logs"],
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:
        ends = time.monotonic() + seconds
        while time.monotonic() < ends and triggerer.poll() is None:
            time.sleep(0.5)
            states = _states()
            if all(state["state"] != "deferred" for state in states.values()):
                break
        sys.stdout.write(json.dumps({"tasks": _states(), "triggerer runs": triggerer.poll() is None}) + "\n")
    finally:
        # A triggerer takes ten seconds to stop on SIGTERM; its children are in its session.
        with suppress(ProcessLookupError):
            os.killpg(triggerer.pid, signal.SIGKILL)
        triggerer.wait()


def _write_dag(tasks: list[str]) -> None:
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import BundleDagBag, sync_bag_to_db

    folder = Path(os.environ["AIRFLOW_HOME"], "dags")
    folder.mkdir()
    (folder / "dag.py").write_text(DAG_FILE.format(tasks=tasks))
    manager = DagBundlesManager()
    manager.sync_bundles_to_db()
    (bundle,) = manager.get_all_dag_bundles()
    sync_bag_to_db(BundleDagBag(folder, bundle_path=folder, bundle_name=bundle.name), bundle.name, None)


def _defer(tasks: dict[str, Any], session: Any) -> None:
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.models.trigger import Trigger
    from airflow.utils.state import DagRunState, TaskInstanceState
    from airflow.utils.types import DagRunTriggeredByType, DagRunType

    now = datetime.now(timezone.utc)
    run = SerializedDagModel.get_dag("deferred", session=session).create_dagrun(
        run_id="run",
        run_after=now,
        run_type=DagRunType.MANUAL,
        triggered_by=DagRunTriggeredByType.TEST,
        state=DagRunState.RUNNING,
        start_date=now,
        session=session,
    )
    for instance in run.get_task_instances(session=session):
        path, arguments = tasks[instance.task_id]
        trigger = Trigger(classpath=path, kwargs=arguments)
        session.add(trigger)
        session.flush()
        instance.state = TaskInstanceState.DEFERRED
        instance.try_number, instance.start_date = 1, now
        instance.trigger_id, instance.next_method, instance.next_kwargs = trigger.id, "execute_complete", {}


def _states() -> dict[str, Any]:
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session

    with create_session() as session:
        return {
            ti.task_id: {"state": str(ti.state), "next_method": ti.next_method, "next_kwargs": ti.next_kwargs}
            for ti in session.query(TaskInstance)
        }


if __name__ == "__main__":
    main()
