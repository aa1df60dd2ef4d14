"""What parsing a DAG file with every operator, sensor and trigger of this package loads."""

from __future__ import annotations

import sys

from dev.benchmarks.imports import modules_of
from tests.budgets.conftest import NEWEST
from tests.kit import imports

pytestmark = NEWEST


def test_dag_files_load_only_airflow() -> None:
    """And a part of pydantic that Airflow's base class of all triggers needs."""
    loaded = imports.loaded(modules_of("metakraftwerk"), after="from airflow.sdk import DAG")
    others = {name.partition(".")[0] for name in loaded} - {"mkw_airflow_provider", "airflow"}
    assert others - set(sys.stdlib_module_names) <= {"pydantic"}
