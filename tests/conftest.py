"""What every test needs: its own AIRFLOW_HOME, an environment without the caller's proxies, and servers."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

# Before anything imports Airflow: it reads these once, and must not touch the user's home.
HOME = os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="airflow-home-")
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
os.environ["AIRFLOW__CORE__UNIT_TEST_MODE"] = "False"
for variable in [name for name in os.environ if name.lower().endswith("_proxy") or name.startswith("AIRFLOW_CONN_")]:
    del os.environ[variable]

pytest_plugins = ["tests.kit.certificates"]


def pytest_unconfigure() -> None:
    """Leave nothing behind, neither here nor in a process of pytest-xdist."""
    shutil.rmtree(HOME, ignore_errors=True)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The folder of the project."""
    return Path(__file__).parent.parent


@pytest.fixture
def connected(metakraftwerk: Any) -> Any:
    """The emulator with builds of half a second."""
    metakraftwerk.set(build_seconds=0.5)
    return metakraftwerk


@pytest.fixture
def servers() -> Iterator[ExitStack]:
    """The servers of a test other than the emulator; they are closed after it."""
    with ExitStack() as stack:
        yield stack
