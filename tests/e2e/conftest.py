"""One emulator and one real Airflow for all end-to-end tests."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from dev.stack.airflow import AirflowStack
from dev.stack.emulator import EmulatorProgram
from dev.stack.rest import AirflowClient
from mkw_airflow_provider.emulator import Control

ROOT = Path(__file__).resolve().parents[2]

# More users than the administrator, for the tests of the pages' access.
USERS = {
    "PYTHONPATH": str(ROOT),
    "AIRFLOW__CORE__AUTH_MANAGER": "tests.kit.auth_manager.AuthManager",
    "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin,viewer:viewer,outsider:viewer",
}

# Longer than the other tasks need to start, so that the wait defers.
BUILD_SECONDS = 10.0


@pytest.fixture(scope="session")
def metakraftwerk_program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmulatorProgram]:
    """An emulator in its own process."""
    program = EmulatorProgram(tmp_path_factory.mktemp("metakraftwerk"), build_seconds=BUILD_SECONDS)
    try:
        program.start()
        yield program
    finally:
        program.stop()


@pytest.fixture(scope="session")
def airflow(metakraftwerk_program: EmulatorProgram, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AirflowStack]:
    """A real Airflow with the example DAGs, connected to that emulator."""
    with AirflowStack(
        tmp_path_factory.mktemp("airflow"),
        dags=ROOT / "example_dags",
        cache=ROOT / ".demo" / "cache",
        environment={
            **metakraftwerk_program.connection,
            **USERS,
            "METAKRAFTWERK_RESULTS": str(tmp_path_factory.mktemp("results")),
        },
    ) as stack:
        yield stack


@dataclass(frozen=True)
class Warehouse:
    """A real Airflow that also starts the runs of assets, with the DAGs of this folder, and its emulator."""

    airflow: AirflowStack
    control: Control
    lineage: Path

    @property
    def client(self) -> AirflowClient:
        return self.airflow.client


@pytest.fixture(scope="session")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    """One Airflow for the tests of task groups, assets and lineage."""
    folder = tmp_path_factory.mktemp("warehouse")
    shutil.copytree(Path(__file__).parent / "warehouse", folder / "dags", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("deploy_persons_build", "load_on_asset"):
        shutil.copy(ROOT / "example_dags" / f"{name}.py", folder / "dags")
    program = EmulatorProgram(folder / "metakraftwerk", build_seconds=2.0)
    try:
        program.start()
        with AirflowStack(
            folder / "airflow",
            dags=folder / "dags",
            cache=ROOT / ".demo" / "cache",
            environment={
                **program.connection,
                "METAKRAFTWERK_RESULTS": str(folder / "results"),
                "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "True",
                "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(
                    {"type": "file", "log_file_path": str(folder / "lineage.jsonl"), "append": True}
                ),
                "AIRFLOW__OPENLINEAGE__NAMESPACE": "warehouse",
            },
        ) as stack:
            yield Warehouse(stack, program.control, folder / "lineage.jsonl")
    finally:
        program.stop()
