"""One emulator and one real Airflow for all end-to-end tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.stack.airflow import AirflowStack
from dev.stack.emulator import EmulatorProgram

ROOT = Path(__file__).resolve().parents[2]

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
            "METAKRAFTWERK_RESULTS": str(tmp_path_factory.mktemp("results")),
        },
    ) as stack:
        yield stack
