"""What users import is described: every name in the reference, every parameter in its docstring."""

from __future__ import annotations

import importlib
import inspect
import re
from typing import Any

import pytest

from mkw_airflow_provider.hooks.metakraftwerk import MetaKraftwerkHook
from mkw_airflow_provider.operators.build import DownloadBuildOperator, StartBuildOperator
from mkw_airflow_provider.operators.deployment import BuildDeploymentOperator
from mkw_airflow_provider.sensors.build import BuildSensor
from mkw_airflow_provider.triggers.build import BuildTrigger
from tests.docs import parameters
from tests.docs.pages import DOCS

REFERENCE = (DOCS / "reference" / "python.md").read_text()
MODULES = ("hooks.metakraftwerk", "operators.build", "operators.deployment", "sensors.build")
CLASSES = [
    StartBuildOperator,
    DownloadBuildOperator,
    BuildDeploymentOperator,
    BuildSensor,
    BuildTrigger,
    MetaKraftwerkHook,
]
#: Methods that Airflow or this package itself calls, not users.
INTERNAL = {"get_conn", "project_or_default", "run"}


@pytest.mark.parametrize("module", MODULES)
def test_reference_lists_every_public_name(module: str) -> None:
    names = importlib.import_module(f"mkw_airflow_provider.{module}").__all__
    assert f".. py:module:: mkw_airflow_provider.{module}" in REFERENCE
    assert set(names) - set(re.findall(r"^\.\. autoclass:: (\w+)$", REFERENCE, flags=re.MULTILINE)) == set()


def test_reference_has_trigger_and_exceptions() -> None:
    assert ".. autoclass:: BuildTrigger" in REFERENCE
    assert ".. automodule:: mkw_airflow_provider.exceptions" in REFERENCE


def test_reference_lists_every_hook_method() -> None:
    methods = {name for name, value in vars(MetaKraftwerkHook).items() if inspect.isfunction(value)}
    public = {name for name in methods if not name.startswith("_")} - INTERNAL
    (listed,) = re.findall(r"autoclass:: MetaKraftwerkHook\n   :members: ([\w, \n]+?)\n```", REFERENCE)
    assert {name.strip() for name in listed.split(",")} == public


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_exactly_the_parameters_are_described(kind: Any) -> None:
    parameters = inspect.signature(kind.__init__).parameters.values()
    own = {p.name for p in parameters if p.name != "self" and p.kind is not p.VAR_KEYWORD}
    described = set(re.findall(r"^ *:param (\w+): \S", inspect.getdoc(kind) or "", flags=re.MULTILINE))
    inherited = {"poke_interval", "timeout"} if kind is BuildSensor else set()
    assert described == own | inherited


def test_page_of_parameters_is_current() -> None:
    """`python -m tests.docs.parameters` writes it."""
    assert parameters.PAGE.read_text() == parameters.render()
