"""Airflow as large sites run it: CeleryExecutor, PostgreSQL and Redis, two Celery workers and two triggerers."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from dev.stack import postgres, redis
from dev.stack.airflow import COMPONENTS, AirflowStack
from dev.stack.postgres import PostgresServer
from dev.stack.redis import RedisServer
from dev.stack.restarts import Restarts

#: Celery slots of each worker.
SLOTS = 4
_WORKER = ["celery", "worker", "--skip-serve-logs", "--concurrency", str(SLOTS), "--celery-hostname"]

CLUSTER = {
    **{name: command for name, command in COMPONENTS.items() if name != "triggerer"},
    **{f"triggerer-{number}": COMPONENTS["triggerer"] for number in (1, 2)},
    **{f"worker-{number}": [*_WORKER, f"worker-{number}@%h"] for number in (1, 2)},
}


def missing_programs() -> list[str]:
    """Return the programs that a cluster needs and that are not installed."""
    found = {"PostgreSQL": postgres.is_installed(), "redis-server": redis.is_installed()}
    return [name for name, is_there in found.items() if not is_there]


class Cluster:
    """An Airflow whose components are restarted when they end, as by systemd or Kubernetes.

    :param folder: everything is written here; only PostgreSQL has a folder elsewhere if this process runs as root.
    :param dags: the folder with the DAG files.
    :param environment: variables for all processes.
    :param celery: with two Celery workers and two triggerers; without, one machine with the LocalExecutor.
    """

    def __init__(self, folder: Path, *, dags: Path, environment: Mapping[str, str], celery: bool = True) -> None:
        self.postgres = PostgresServer(_postgres_folder(folder.resolve()))
        self.redis = RedisServer(folder / "redis")
        self._uses_redis = celery
        address = self.postgres.address
        executor = {"AIRFLOW__CORE__EXECUTOR": "LocalExecutor"}
        if celery:
            executor = {
                "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
                # Twice the slots: what is queued starts within seconds.
                "AIRFLOW__CORE__PARALLELISM": str(2 * SLOTS * sum(name.startswith("worker") for name in CLUSTER)),
                "AIRFLOW__CELERY__BROKER_URL": self.redis.url,
                "AIRFLOW__CELERY__RESULT_BACKEND": f"db+postgresql+psycopg2://{address}",
            }
        self.stack = AirflowStack(
            folder / "airflow",
            dags=dags,
            cache=None,
            components=CLUSTER if celery else COMPONENTS,
            environment={
                "AIRFLOW__CORE__HOSTNAME_CALLABLE": "dev.stack.component.component_name",
                "AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG": "300",
                "AIRFLOW__CORE__MAX_ACTIVE_RUNS_PER_DAG": "300",
                "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{address}",
                **executor,
                **environment,
            },
        )
        self._restarts = Restarts(self.stack, contextlib.nullcontext())
        #: How often each component has ended and was started again.
        self.restarts = self._restarts.counts

    def start(self) -> None:
        """Start everything, and wait until each component is healthy.

        :raises StackError: a component ended, or was not healthy in time.
        :raises RedisError: Redis did not start.
        """
        self.postgres.start()
        if self._uses_redis:
            self.redis.start()
        self.stack.start(timeout=300.0)
        self._restarts.start()

    def stop(self) -> None:
        """End everything that was started."""
        self._restarts.stop()
        self.stack.stop()
        if self._uses_redis:
            self.redis.stop()
        self.postgres.delete()


def _postgres_folder(folder: Path) -> Path:
    """Return a folder that the user of PostgreSQL can reach; always the same, so that nothing is left there."""
    if postgres.USER is None:
        return folder / "postgres"
    name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"mkw-postgres-{name}"
