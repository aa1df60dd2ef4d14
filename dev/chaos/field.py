"""Where chaos takes place: one Airflow, one MetaKraftwerk, one folder of results."""

from __future__ import annotations

import shutil
import threading
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from dev.chaos.server import Server
from dev.stack.airflow import AirflowStack
from dev.stack.rest import AirflowClient

#: The chain with a sensor, and the one in which `start_build` waits itself.
DAG_ID, WAITING_DAG_ID = "chaos_chain", "chaos_chain_in_one"
DAGS = Path(__file__).resolve().parent / "dags"
#: Of each task of theirs, as their file has it.
RETRIES = 8
BUILD_SECONDS = 20.0

# What dies is to be missed within seconds, not after Airflow's default of minutes.
PATIENCE = {
    "AIRFLOW__SCHEDULER__JOB_HEARTBEAT_SEC": "2",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "15",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "5",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
    "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "2",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "10",
}

#: Seconds between the death of a component and its successor's start.
GAP = 1.0


class Field:
    """One Airflow and one server for all nights.

    :param folder: everything is in here.
    :param cache: where a migrated database of Airflow is kept.
    :param environment: more variables for Airflow's processes.
    """

    def __init__(self, folder: Path, *, cache: Path, environment: Mapping[str, str] | None = None) -> None:
        self.folder = folder.resolve()
        self.results = self.folder / "results"
        self.server = Server(self.folder / "metakraftwerk", build_seconds=BUILD_SECONDS)
        self.stack = AirflowStack(
            self.folder / "airflow",
            dags=DAGS,
            cache=cache,
            environment={
                **PATIENCE,
                **self.server.connection,
                "METAKRAFTWERK_RESULTS": str(self.results),
                **(environment or {}),
            },
        )
        #: Set when everybody is to go home.
        self.over = threading.Event()
        #: Requests that start a build look alike: while a night has its turn, no other night starts one.
        self.start_turn = threading.Lock()
        #: How often a component was killed.
        self.replaced: Counter[str] = Counter()
        #: Held while a component is away.
        self.component_away = threading.Lock()

    def client(self) -> AirflowClient:
        """Return a client of its own for a thread, logged in."""
        client = AirflowClient(self.stack.url, user=self.stack.user, password=self.stack.password)
        client.login()
        return client

    def replace(self, component: str) -> None:
        """Kill a component of Airflow with all that it started, and start its successor.

        :raises StackError: the successor was not healthy in time.
        """
        with self.component_away:
            self.stack.kill(component)
            self.replaced[component] += 1
            time.sleep(GAP)
            self.stack.restart(component, timeout=150.0)

    def clear(self) -> None:
        """Remove what an earlier chaos left: its results."""
        shutil.rmtree(self.results, ignore_errors=True)

    def start(self) -> None:
        """Start the server, then Airflow, and wait until Airflow has read the DAGs."""
        self.server.start()
        self.stack.start()
        self.stack.client.make_pool("chaos_deployments", 1)
        self.stack.client.wait_for_dag(DAG_ID)
        self.stack.client.wait_for_dag(WAITING_DAG_ID)

    def stop(self) -> None:
        """End everything."""
        self.over.set()
        self.stack.stop()
        self.server.stop()
