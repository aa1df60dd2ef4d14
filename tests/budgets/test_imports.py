"""What reading a DAG file loads of this package, with every operator, sensor and trigger."""

from __future__ import annotations

import sys

import pytest

from dev.benchmarks.imports import modules_of
from tests.budgets.conftest import NEWEST
from tests.kit import imports

pytestmark = NEWEST

PACKAGE = "mkw_airflow_provider"
#: Besides the modules that are imported, and the packages that they are in.
NEEDED = {
    "client",
    "client.arguments",
    "exceptions",
    "operators.download",
    "operators.literals",
    "operators.attempt",
    "version_compat",
    "operators.series",
    "operators.waiting",
    "operators.without_worker",
    "sensors.start",
}


@pytest.fixture(scope="module")
def loaded() -> set[str]:
    """What a fresh process has loaded after ``airflow.sdk`` and then all modules that the metadata name."""
    return imports.loaded(modules_of("metakraftwerk"), after="from airflow.sdk import DAG")


def test_no_http_library_is_loaded(loaded: set[str]) -> None:
    assert {name.partition(".")[0] for name in loaded} & {"requests", "urllib3", "aiohttp", "yarl", "jwt"} == set()


def test_of_this_package_only_what_arguments_need_is_loaded(loaded: set[str]) -> None:
    asked = set(modules_of("metakraftwerk"))
    packages = {name.rpartition(".")[0] for name in asked}
    mine = {name for name in loaded if name.partition(".")[0] == PACKAGE}
    assert mine - {PACKAGE} == asked | packages | {f"{PACKAGE}.{name}" for name in NEEDED}


def test_of_others_only_airflow_is_loaded(loaded: set[str]) -> None:
    """And a part of pydantic that Airflow's base of all triggers needs."""
    others = {name.partition(".")[0] for name in loaded} - {PACKAGE, "airflow"}
    assert others - set(sys.stdlib_module_names) <= {"pydantic"}
