"""Where chaos happens: one Airflow, one emulator and one folder of results for all runs."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dev.chaos.emulator import ChaosEmulator
from dev.chaos.fault_catalog import OUTAGE_TOLERANCE, READ_TIMEOUT
from dev.stack.airflow import AirflowStack
from dev.stack.rest import AirflowClient
from dev.stack.restarts import Restarts

if TYPE_CHECKING:
    from dev.chaos.chaos_run import ChaosRun

#: The chain with a sensor, and the one in which `start_build` waits itself.
DAG_ID, WAITING_DAG_ID = "chaos_chain", "chaos_chain_in_one"
DAGS = Path(__file__).resolve().parent / "dags"
CONNECTION_ID = "metakraftwerk_default"
#: `retries` of the tasks, unless chaos has edited them.
RETRIES = 8
BUILD_SECONDS = 20.0

# A dead component is to be noticed within seconds, not after Airflow's default of minutes.
HEARTBEATS = {
    "AIRFLOW__SCHEDULER__JOB_HEARTBEAT_SEC": "2",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "15",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "5",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
    "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "2",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "10",
}

#: Seconds between the death of a component and the start of its replacement.
REPLACEMENT_DELAY = 1.0


class Environment:
    """One Airflow and one emulator for all runs.

    :param folder: everything is written here.
    :param cache: where a migrated database of Airflow is kept.
    :param variables: more environment variables for Airflow's processes.
    """

    def __init__(self, folder: Path, *, cache: Path, variables: Mapping[str, str] | None = None) -> None:
        self.folder = folder.resolve()
        self.results = self.folder / "results"
        self.emulator = ChaosEmulator(self.folder / "metakraftwerk", build_seconds=BUILD_SECONDS)
        #: `retries` of the tasks, read by their DAG file.
        self.retries_file = self.folder / "retries"
        self._connections = self.folder / "connections.json"
        #: A second file with the connection, for a triggerer that is to miss it.
        self.triggerer_connections = self.folder / "triggerer_connections.json"
        self.stack = AirflowStack(
            self.folder / "airflow",
            dags=DAGS,
            cache=cache,
            environment={
                **HEARTBEATS,
                **_secrets_backend(self._connections),
                "METAKRAFTWERK_RESULTS": str(self.results),
                **(variables or {}),
            },
        )
        #: Set when all runs are to end.
        self.stopped = threading.Event()
        #: Requests that start a build look alike: while a run holds this, no other run starts one.
        self.start_lock = threading.Lock()
        #: All runs of the plan, for faults that hit more than one.
        self.runs: Sequence[ChaosRun] = []
        #: The passwords that the user of the chain has had, the present one last.
        self.passwords = [str(self.emulator.control.connection["password"])]
        #: How often each component was killed.
        self.kills: Counter[str] = Counter()
        #: Held while a component is down.
        self.component_lock = threading.RLock()
        # Airflow's scheduler can end by itself, for example when a task that it has failed was failed already.
        self._restarts = Restarts(self.stack, self.component_lock)

    @property
    def triggerers(self) -> int:
        """How many triggerers have run so far."""
        return 1 + self.kills["triggerer"] + self._restarts.counts["triggerer"]

    def new_client(self) -> AirflowClient:
        """Return a client for one thread, logged in."""
        client = AirflowClient(self.stack.url, user=self.stack.user, password=self.stack.password)
        client.login()
        return client

    def replace(
        self,
        component: str,
        variables: Mapping[str, str] | None = None,
        meanwhile: Callable[[], None] | None = None,
    ) -> None:
        """Kill a component of Airflow with everything it started, and start a new one.

        :param variables: environment variables that the new one has in addition.
        :param meanwhile: called while the component is down.
        :raises StackError: the new one was not healthy in time.
        """
        with self.component_lock:
            self.stack.kill(component)
            self.kills[component] += 1
            time.sleep(REPLACEMENT_DELAY)
            if meanwhile is not None:
                meanwhile()
            self.stack.restart(component, variables=variables, timeout=150.0)

    def write_connection(self) -> None:
        """Write the connection to the emulator into the files from which Airflow reads it."""
        extra = {"read_timeout": READ_TIMEOUT, "outage_tolerance": OUTAGE_TOLERANCE}
        connection = {**self.emulator.control.connection, "password": self.passwords[-1], "extra": extra}
        for file in (self._connections, self.triggerer_connections):
            draft = file.with_suffix(".new")
            draft.write_text(json.dumps({CONNECTION_ID: connection}))
            draft.replace(file)

    def delete_results(self) -> None:
        """Delete the results of an earlier chaos."""
        shutil.rmtree(self.results, ignore_errors=True)
        self.retries_file.unlink(missing_ok=True)

    def start(self) -> None:
        """Start the emulator, then Airflow, and wait until Airflow has read the DAGs."""
        self.emulator.start()
        self.write_connection()
        self.stack.start()
        self.stack.client.make_pool("chaos_deployments", 1)
        self.stack.client.wait_for_dag(DAG_ID)
        self.stack.client.wait_for_dag(WAITING_DAG_ID)
        self._restarts.start()

    def stop(self) -> None:
        """Stop everything."""
        self.stopped.set()
        self._restarts.stop()
        self.stack.stop()
        self.emulator.stop()


def _secrets_backend(connections: Path) -> dict[str, str]:
    """Return the settings with which Airflow reads connections from a file."""
    return {
        "AIRFLOW__SECRETS__BACKEND": "dev.chaos.secrets_backend.FileBackend",
        "AIRFLOW__SECRETS__BACKEND_KWARGS": json.dumps({"path": str(connections)}),
    }
