"""A real Airflow in one folder: by default with LocalExecutor and SQLite; `cluster` has a larger one."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import final

import psutil

from dev.stack import component, processes, settings
from dev.stack.generation import INSTALLED
from dev.stack.processes import Program
from dev.stack.rest import AirflowClient

# Components by their names in Airflow 3, and the commands that run them. The log servers are left out, because they
# listen on every interface; everything is in one folder, where the API server reads the log files itself.
COMPONENTS = {
    "api-server": INSTALLED.server,
    "scheduler": ["scheduler", "--skip-serve-logs"],
    "dag-processor": ["dag-processor"],
    "triggerer": ["triggerer", "--skip-serve-logs"],
}
HEALTH_PARTS = frozenset({"metadatabase", "scheduler", "dag_processor", "triggerer"})


class StackError(Exception):
    """Airflow did not start; the message holds the end of the log that says why."""


@final
class AirflowStack:
    """A real Airflow on this machine, while the `with` block lasts.

    It writes into one folder and listens on the loopback interface only, and `stop` leaves no process of it. DAGs run
    when they are triggered, never by their schedule.

    :param home: its folder, created if it does not exist. Its database and its logs are created again.
    :param dags: the folder with the DAG files.
    :param cache: where a migrated SQLite database is kept, which saves about 10 s from the second start on; None: the
        database is an empty one elsewhere, which `environment` names.
    :param environment: variables for all processes, for example `AIRFLOW_CONN_METAKRAFTWERK_DEFAULT`.
    :param components: commands by name. The n-th one of a kind has `-n` at the end of its name.
    """

    def __init__(
        self,
        home: Path,
        *,
        dags: Path,
        cache: Path | None,
        environment: Mapping[str, str],
        components: Mapping[str, Sequence[str]] = COMPONENTS,
    ) -> None:
        self.home = home.resolve()
        self._dags = dags.resolve()
        self._cache = None if cache is None else cache.resolve()
        self._port = settings.free_port()
        self._environment = settings.environment(self.home, environment)
        self.user = settings.USER
        self.password = secrets.token_urlsafe(12)
        self.url = f"http://{settings.HOST}:{self._port}"
        self.client = AirflowClient(self.url, user=self.user, password=self.password)
        self._programs = {
            name: Program(name, [*_AIRFLOW, *command], folder=self.home, environment=self._variables(name))
            for name, command in components.items()
        }

    def __enter__(self) -> AirflowStack:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, *, timeout: float = 180.0) -> None:
        """Start all components and wait until each is healthy.

        :param timeout: seconds until giving up.
        :raises StackError: a component ended, or was not healthy in time.
        """
        self._prepare()
        self._start(list(self._programs), timeout)
        self.client.login()

    def stop(self) -> None:
        """End everything that was started, running tasks included."""
        processes.stop(self._programs.values())
        (self.home / processes.RECORD).unlink(missing_ok=True)

    def log(self, name: str) -> Path:
        """Return the file with the output of a component."""
        return self._programs[name].log

    def program(self, name: str) -> Program:
        """Return the process of a component with everything that it started."""
        return self._programs[name]

    def components(self, kind: str = "") -> list[str]:
        """Return the names of all components of a kind, as in `triggerer-1` and `triggerer-2`; default: of all."""
        return [name for name in self._programs if name.startswith(kind)]

    def start_ended(self) -> list[str]:
        """Start all components that have ended by themselves, and return their names."""
        ended = [name for name, program in self._programs.items() if program.exit_code is not None]
        for name in ended:
            self._programs[name].start()
        if ended:
            processes.record(self.home, self._programs.values())
        return ended

    def kill(self, name: str) -> None:
        """Kill a component with everything it started, as when its container dies."""
        processes.kill(self._programs[name])

    def run_module(self, module: str, *arguments: str) -> None:
        """Run a Python module with the settings of this Airflow.

        :raises subprocess.CalledProcessError: it failed.
        """
        command = [sys.executable, "-m", module, *arguments]
        subprocess.run(command, check=True, cwd=self.home, env=self._environment, capture_output=True)  # noqa: S603

    def kill_task(self, dag_id: str, run_id: str, task_id: str, *, map_index: int = -1) -> None:
        """Kill the process that runs a task, as when memory runs out."""
        os.kill(self._task_process(dag_id, run_id, task_id, map_index), signal.SIGKILL)

    def kill_supervisor(self, dag_id: str, run_id: str, task_id: str, *, map_index: int = -1) -> None:
        """Kill the supervisor of a task; the task itself continues until it has something to report."""
        os.kill(psutil.Process(self._task_process(dag_id, run_id, task_id, map_index)).ppid(), signal.SIGKILL)

    def _task_process(self, dag_id: str, run_id: str, task_id: str, map_index: int) -> int:
        pid: int | None = self.client.task_instance(dag_id, run_id, task_id, map_index)["pid"]
        if pid is None or self.component_of(pid) is None:
            raise ProcessLookupError(f"No process of this Airflow is running task {task_id} of {run_id}.")
        return pid

    def component_of(self, pid: int) -> str | None:
        """Return the component that started a process; None if no component did."""
        return next((name for name, program in self._programs.items() if pid in program.members()), None)

    def _variables(self, name: str) -> dict[str, str]:
        return {**self._environment, component.VARIABLE: name}

    def restart(self, name: str, *, variables: Mapping[str, str] | None = None, timeout: float = 120.0) -> None:
        """Start a component again after `kill`, and wait until all are healthy.

        :param variables: environment variables that it has in addition until it is started again.
        :raises StackError: it ended again, or was not healthy in time.
        """
        self._programs[name].environment = {**self._variables(name), **(variables or {})}
        self._start([name], timeout)

    def _start(self, components: Collection[str], timeout: float) -> None:
        since = datetime.now(timezone.utc)
        for name in components:
            self._programs[name].start()
        processes.record(self.home, self._programs.values())
        fresh = {name.rstrip("-0123456789").replace("-", "_") for name in components}
        self._wait_until_healthy(timeout, fresh=fresh, since=since)

    def _prepare(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        processes.end_leftovers(self.home)
        for name in ("airflow.db", "airflow.db-wal", "airflow.db-shm"):
            (self.home / name).unlink(missing_ok=True)
        shutil.rmtree(self.home / "logs", ignore_errors=True)
        with (self.home / "airflow.cfg").open("w") as file:
            settings.configuration(self.home, dags=self._dags, port=self._port).write(file)
        passwords = settings.password_file(self.home)
        passwords.touch(mode=0o600)
        passwords.write_text(json.dumps({self.user: self.password}))
        self._copy_database()
        if INSTALLED.create_user is not None:
            self._run("create-user", INSTALLED.create_user(self.user, self.password))

    def _copy_database(self) -> None:
        if self._cache is None:
            self._run("db-migrate", ["db", "migrate"])
            return
        cached = self._cache / f"airflow-{version('apache-airflow')}.db"
        database = self.home / "airflow.db"
        if cached.exists():
            shutil.copyfile(cached, database)
            return
        self._run("db-migrate", ["db", "migrate"])
        self._cache.mkdir(parents=True, exist_ok=True)
        # The next start must not find an incomplete copy.
        partial = cached.with_suffix(f".{os.getpid()}")
        shutil.copyfile(database, partial)
        partial.replace(cached)

    def _run(self, name: str, command: Sequence[str]) -> None:
        program = Program(name, [*_AIRFLOW, *command], folder=self.home, environment=self._environment)
        self._programs[name] = program
        program.start()
        while (code := program.exit_code) is None:
            time.sleep(0.1)
        del self._programs[name]
        if code:
            raise StackError(f"{name} ended with {code}; its log ends with:\n{program.tail()}")

    def _wait_until_healthy(self, timeout: float, *, fresh: Collection[str], since: datetime) -> None:
        """Wait for all components, and for a heartbeat after `since` of those in `fresh`."""
        deadline = time.monotonic() + timeout
        warm = False
        while True:
            health = self.client.health()
            if health and not warm:
                self.client.warm_up()
                warm = True
            waiting = _not_healthy(health, fresh, since)
            if not waiting:
                return
            for program in self._programs.values():
                if program.exit_code is not None:
                    raise StackError(
                        f"{program.name} ended with {program.exit_code}; its log ends with:\n{program.tail()}"
                    )
            if time.monotonic() > deadline:
                names = ", ".join(sorted(waiting))
                raise StackError(f"Not healthy after {timeout:.0f} s: {names}. The logs are in {self.home / 'logs'}.")
            time.sleep(0.5)


def _not_healthy(health: Mapping[str, Mapping[str, str | None]], fresh: Collection[str], since: datetime) -> set[str]:
    waiting = {part for part in HEALTH_PARTS if health.get(part, {}).get("status") != "healthy"}
    for part in HEALTH_PARTS.intersection(fresh) - waiting:
        heartbeat = health[part][f"latest_{part}_heartbeat"]
        # Airflow reports a dead component as healthy until its last heartbeat is 30 s old.
        if heartbeat is None or datetime.fromisoformat(heartbeat.replace("Z", "+00:00")) < since:
            waiting.add(part)
    return waiting


_AIRFLOW = [sys.executable, "-m", "airflow"]
