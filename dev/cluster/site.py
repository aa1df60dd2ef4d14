"""Where the chains run: the cluster, the emulator, and the connection between them, stored in Airflow's database."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Mapping
from pathlib import Path

from dev.chaos.environment import CONNECTION_ID, HEARTBEATS
from dev.cluster.database import Database
from dev.stack.cluster import Cluster
from dev.stack.emulator import EmulatorProgram
from dev.stack.processes import by_session
from dev.stack.usage import cpu_seconds, family, memory

DAGS = Path(__file__).resolve().parent / "dags"
#: All processes by what they are, with the components that belong to each kind.
KINDS = ("api-server", "scheduler", "dag-processor", "triggerer", "worker", "PostgreSQL", "Redis", "emulator")


class Site:
    """A cluster with an emulator.

    :param folder: everything is written here.
    :param variables: more environment variables for Airflow's processes.
    :param build_seconds: how long a build takes.
    :param celery: see :class:`~dev.stack.cluster.Cluster`.
    """

    def __init__(
        self, folder: Path, variables: Mapping[str, str], *, build_seconds: float, celery: bool = True
    ) -> None:
        self.build_seconds = build_seconds
        self.folder = folder.resolve()
        self.results = self.folder / "results"
        self.emulator = EmulatorProgram(self.folder / "metakraftwerk", build_seconds=build_seconds)
        self.cluster = Cluster(
            self.folder,
            dags=DAGS,
            celery=celery,
            environment={
                **HEARTBEATS,
                # A killed worker takes tasks with it that it has not started; Airflow's default is ten minutes.
                "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "60",
                "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "10",
                "METAKRAFTWERK_RESULTS": str(self.results),
                **variables,
            },
        )
        self.stack = self.cluster.stack
        self.control = self.emulator.control
        self.client = self.stack.client
        self.database = Database(self.cluster.postgres.address)
        #: The passwords that the user of the chain has had, the present one last.
        self.passwords = [str(self.control.connection["password"])]
        #: How often tokens became invalid.
        self.revocations = 0
        #: Set when everything is to end.
        self.stopped = threading.Event()

    def start(self) -> None:
        """Start everything and wait until Airflow has read the DAGs."""
        shutil.rmtree(self.results, ignore_errors=True)
        self.emulator.start()
        self.cluster.start()
        self.write_connection()
        self.client.wait_for_dag("cluster_chain", timeout=120.0)

    def stop(self) -> None:
        """Stop everything."""
        self.stopped.set()
        self.cluster.stop()
        self.emulator.stop()

    def write_connection(self) -> None:
        """Store the connection to the emulator with the present password, as a person does on Airflow's page."""
        self.client.write_connection(CONNECTION_ID, {**self.control.connection, "password": self.passwords[-1]})

    def cpu(self) -> dict[str, float]:
        """Return the CPU seconds that the processes of each kind have used so far."""
        sessions = by_session()
        return {kind: cpu_seconds(self._processes(kind, sessions)) for kind in KINDS}

    def memory(self) -> dict[str, int]:
        """Return the bytes of memory that the processes of each kind use."""
        sessions = by_session()
        return {kind: memory(self._processes(kind, sessions)) for kind in KINDS}

    def _processes(self, kind: str, sessions: Mapping[int, set[int]]) -> set[int]:
        if kind == "PostgreSQL":
            return family(self.cluster.postgres.pid)
        if kind == "Redis":
            return sessions.get(self.cluster.redis.program.pid, set())
        if kind == "emulator":
            return sessions.get(self.emulator.pid, set())
        programs = map(self.stack.program, self.stack.components(kind))
        return {pid for program in programs for pid in sessions.get(program.pid, ())}
