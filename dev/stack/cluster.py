"""Airflow as large sites run it: CeleryExecutor, PostgreSQL and Redis, two Celery workers and two triggerers."""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from dev.stack import postgres, redis
from dev.stack.airflow import COMPONENTS, AirflowStack
from dev.stack.postgres import PostgresServer
from dev.stack.redis import RedisServer

#: Celery slots of each worker.
SLOTS = 4
_WORKER = ["celery", "worker", "--skip-serve-logs", "--concurrency", str(SLOTS), "--celery-hostname"]

CLUSTER = {
    **{name: command for name, command in COMPONENTS.items() if name != "triggerer"},
    **{f"triggerer-{number}": COMPONENTS["triggerer"] for number in (1, 2)},
    **{f"worker-{number}": [*_WORKER, f"worker-{number}@%h"] for number in (1, 2)},
}

#: Seconds between two checks for components that have ended.
RESTART_INTERVAL = 1.0


def missing_programs() -> list[str]:
    """Return the programs that a cluster needs and that are not installed."""
    found = {"PostgreSQL": postgres.is_installed(), "redis-server": redis.is_installed()}
    return [name for name, is_there in found.items() if not is_there]


class Cluster:
    """An Airflow whose components are restarted when they end, as by systemd or Kubernetes.

    :param folder: everything is written here; only PostgreSQL has a folder elsewhere if this process runs as root.
    :param dags: the folder with the DAG files.
    :param environment: variables for all processes.
    """

    def __init__(self, folder: Path, *, dags: Path, environment: Mapping[str, str]) -> None:
        self.postgres = PostgresServer(_postgres_folder(folder.resolve()))
        self.redis = RedisServer(folder / "redis")
        address = self.postgres.address
        self.stack = AirflowStack(
            folder / "airflow",
            dags=dags,
            cache=None,
            components=CLUSTER,
            environment={
                "AIRFLOW__CORE__HOSTNAME_CALLABLE": "dev.stack.component.component_name",
                "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
                # Twice the slots: what is queued starts within seconds.
                "AIRFLOW__CORE__PARALLELISM": str(2 * SLOTS * sum(name.startswith("worker") for name in CLUSTER)),
                "AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG": "300",
                "AIRFLOW__CORE__MAX_ACTIVE_RUNS_PER_DAG": "300",
                "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{address}",
                "AIRFLOW__CELERY__BROKER_URL": self.redis.url,
                "AIRFLOW__CELERY__RESULT_BACKEND": f"db+postgresql+psycopg2://{address}",
                **environment,
            },
        )
        #: How often each component has ended and was started again.
        self.restarts: Counter[str] = Counter()
        self._stopped = threading.Event()
        self._watcher = threading.Thread(target=self._restart_ended, name="restart-ended", daemon=True)

    def start(self) -> None:
        """Start everything, and wait until each component is healthy.

        :raises StackError: a component ended, or was not healthy in time.
        :raises RedisError: Redis did not start.
        """
        self.postgres.start()
        self.redis.start()
        self.stack.start(timeout=300.0)
        self._watcher.start()

    def stop(self) -> None:
        """End everything that was started."""
        self._stopped.set()
        if self._watcher.is_alive():
            self._watcher.join()
        self.stack.stop()
        self.redis.stop()
        self.postgres.delete()

    def _restart_ended(self) -> None:
        while not self._stopped.wait(RESTART_INTERVAL):
            self.restarts.update(self.stack.start_ended())


def _postgres_folder(folder: Path) -> Path:
    """Return a folder that the user of PostgreSQL can reach; always the same, so that nothing is left there."""
    if postgres.USER is None:
        return folder / "postgres"
    name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"mkw-postgres-{name}"
