"""The names, signatures and defaults that users type: repeated here on purpose."""

from __future__ import annotations

import importlib
import inspect
from dataclasses import FrozenInstanceError, fields
from enum import Enum
from pathlib import Path
from typing import Any

import pendulum
import pytest

MODULES = {
    "hooks.metakraftwerk": [
        "Build",
        "BuildDeployment",
        "BuildStatus",
        "CreatedBuild",
        "Download",
        "DownloadedFile",
        "MetaKraftwerkHook",
    ],
    "operators.build": ["DownloadBuildOperator", "StartBuildOperator"],
    "operators.deployment": ["BuildDeploymentOperator"],
    "sensors.build": ["BuildSensor"],
    "triggers.build": ["BuildTrigger"],
    "exceptions": [
        "ApiError",
        "BadRequestError",
        "BuildCanceledError",
        "BuildError",
        "BuildFailedError",
        "BuildStartUncertainError",
        "BuildTimeoutError",
        "ConfigurationError",
        "ConnectionFailedError",
        "DownloadError",
        "ForbiddenError",
        "IntegrityError",
        "MetaKraftwerkError",
        "NotAuthenticatedError",
        "NotFoundError",
        "ProtocolError",
        "RateLimitedError",
        "ServerError",
    ],
    "emulator": ["Control", "Emulator"],
}
REQUIRED = inspect.Parameter.empty
CONNECTION = "metakraftwerk_default"


def _get(module: str, name: str) -> Any:
    return getattr(importlib.import_module(f"mkw_airflow_provider.{module}"), name)


@pytest.mark.parametrize(("module", "name"), [(module, name) for module, names in MODULES.items() for name in names])
def test_every_name_is_importable(module: str, name: str) -> None:
    assert _get(module, name).__name__ == name


CONSTRUCTORS: dict[tuple[str, str], dict[str, Any]] = {
    ("operators.build", "StartBuildOperator"): {
        "project": None,
        "project_id": None,
        "instances": REQUIRED,
        "releases": None,
        "description": None,
        "restore": False,
        "wait_for_completion": False,
        "deferrable": False,
        "poll_interval": 30.0,
        "timeout": None,
        "reattach": True,
        "on_clear": "adopt_running",
        "if_empty": "fail",
        "metakraftwerk_conn_id": CONNECTION,
    },
    ("operators.build", "DownloadBuildOperator"): {
        "build_id": REQUIRED,
        "destination": REQUIRED,
        "patterns": None,
        "storage_conn_id": None,
        "max_parallel": 4,
        "ignore_lines": (),
        "ignore_members": (),
        "if_empty": "fail",
        "metakraftwerk_conn_id": CONNECTION,
    },
    ("operators.deployment", "BuildDeploymentOperator"): {
        "build_id": REQUIRED,
        "pattern": None,
        "pattern_id": None,
        "deployment": None,
        "deployment_id": None,
        "agent": None,
        "agent_id": None,
        "agent_group": None,
        "agent_group_id": None,
        "if_deployed": "skip",
        "manifest": None,
        "if_unchanged": "deploy",
        "metakraftwerk_conn_id": CONNECTION,
    },
    ("sensors.build", "BuildSensor"): {
        "build_id": REQUIRED,
        "deferrable": False,
        "start_from_trigger": False,
        "end_from_trigger": False,
        "poke_interval": 30.0,
        "timeout": 604_800.0,
        "mode": "poke",
        "soft_fail": False,
        "exponential_backoff": False,
        "max_wait": None,
        "silent_fail": False,
        "never_fail": False,
        "metakraftwerk_conn_id": CONNECTION,
    },
}


@pytest.mark.parametrize(("module", "name"), CONSTRUCTORS)
def test_operators_take_keywords_only(module: str, name: str) -> None:
    parameters = dict(inspect.signature(_get(module, name).__init__).parameters)
    assert parameters.pop("self")
    assert parameters.pop("kwargs").kind is inspect.Parameter.VAR_KEYWORD
    assert {parameter.kind for parameter in parameters.values()} == {inspect.Parameter.KEYWORD_ONLY}
    assert {name: parameter.default for name, parameter in parameters.items()} == CONSTRUCTORS[module, name]


HOOK: dict[str, dict[str, Any]] = {
    "find_builds": dict.fromkeys(
        ["project", "project_id", "user", "user_id", "pattern", "pattern_id", "releases"],
    ),
    "get_build": {"build_id": REQUIRED},
    "create_build": {
        "project": None,
        "project_id": None,
        "instances": REQUIRED,
        "releases": None,
        "description": None,
        "wait": False,
        "restore": False,
    },
    "wait_for_build": {"build_id": REQUIRED, "poll_interval": 30.0, "timeout": None},
    "find_downloads": dict.fromkeys(["build_id", "pattern", "pattern_id"]),
    "download": {"download_id": REQUIRED, "destination": REQUIRED},
    "find_build_deployments": dict.fromkeys(["build_id", "pattern", "pattern_id", "deployment", "deployment_id"]),
    "get_build_deployment": {"build_deployment_id": REQUIRED},
    "create_build_deployment": {
        "build_id": REQUIRED,
        **dict.fromkeys(
            [
                "pattern",
                "pattern_id",
                "deployment",
                "deployment_id",
                "agent",
                "agent_id",
                "agent_group",
                "agent_group_id",
            ]
        ),
    },
    "test_connection": {},
}
POSITIONAL = {
    "get_build": 1,
    "wait_for_build": 1,
    "download": 2,
    "get_build_deployment": 1,
}


@pytest.mark.parametrize("method", HOOK)
def test_methods_of_the_hook(method: str) -> None:
    parameters = dict(inspect.signature(getattr(_get("hooks.metakraftwerk", "MetaKraftwerkHook"), method)).parameters)
    del parameters["self"]
    assert {name: parameter.default for name, parameter in parameters.items()} == HOOK[method]
    positional = [p for p in parameters.values() if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
    assert len(positional) == POSITIONAL.get(method, 0)


def test_hook_takes_the_connection_first() -> None:
    (_, conn_id) = inspect.signature(_get("hooks.metakraftwerk", "MetaKraftwerkHook").__init__).parameters.values()
    assert (conn_id.name, conn_id.default) == ("metakraftwerk_conn_id", CONNECTION)


def test_hook_has_only_methods_of_the_api() -> None:
    hook = _get("hooks.metakraftwerk", "MetaKraftwerkHook")
    assert [name for name in dir(hook) if name.startswith(("update_", "patch_", "delete_", "cancel_"))] == []


def test_trigger_takes_keywords_only() -> None:
    """It also takes names that it does not know, so that rows of other versions can be loaded."""
    parameters = dict(inspect.signature(_get("triggers.build", "BuildTrigger").__init__).parameters)
    del parameters["self"]
    assert parameters.pop("_of_other_versions").kind is inspect.Parameter.VAR_KEYWORD
    assert {parameter.kind for parameter in parameters.values()} == {inspect.Parameter.KEYWORD_ONLY}
    assert {"metakraftwerk_conn_id", "build_id", "poll_interval", "deadline"} <= set(parameters)


#: Arguments for waiting and working that are not sent to the API.
NOT_FOR_THE_API = {
    "deferrable",
    "start_from_trigger",
    "end_from_trigger",
    "poke_interval",
    "mode",
    "soft_fail",
    "exponential_backoff",
    "max_wait",
    "silent_fail",
    "never_fail",
    "on_clear",
    "if_unchanged",
    "poll_interval",
    "timeout",
    "reattach",
    "max_parallel",
    "ignore_lines",
    "ignore_members",
    "if_empty",
}


@pytest.mark.parametrize(("module", "name"), CONSTRUCTORS)
def test_values_for_the_api_are_template_fields(module: str, name: str) -> None:
    assert set(_get(module, name).template_fields) == set(CONSTRUCTORS[module, name]) - NOT_FOR_THE_API


@pytest.mark.parametrize(
    ("name", "documented"),
    [
        (
            "Build",
            """id status customer_id user_id project_id progress message build_start build_end created_at updated_at
            history_commited version active mts name deliveries_calculated description commit_ind deleted instances
            patterns releases downloads raw""",
        ),
        (
            "Download",
            """id pattern pattern_id name file_id customer_id file_name type build_id project_id version upload_id
            downloaded instance_id raw""",
        ),
        ("BuildDeployment", "id build_id pattern_id deployment_id upload_id agent_id agent_group_id raw"),
        ("CreatedBuild", "build warnings"),
        ("DownloadedFile", "path size sha256"),
    ],
)
def test_results_are_frozen_dataclasses(name: str, documented: str) -> None:
    kind = _get("hooks.metakraftwerk", name)
    assert kind.__dataclass_params__.frozen
    assert {item.name for item in fields(kind)} == set(documented.split())
    made = kind(**{item.name: None for item in fields(kind)})
    with pytest.raises(FrozenInstanceError):
        made.anything = 1


def test_build_has_pendulum_dates_and_raw_fields() -> None:
    build = _get("hooks.metakraftwerk", "Build").from_json(
        {"id": 1, "status": "FINISHED", "build_end": "2026-04-02T10:14:00.500Z", "brand_new": [1]}
    )
    assert build.build_end == pendulum.datetime(2026, 4, 2, 10, 14, 0, 500_000)
    assert isinstance(build.build_end, pendulum.DateTime)
    assert build.raw["brand_new"] == [1]
    assert "brand_new" not in build.to_dict()
    assert build.to_dict()["status"] == "FINISHED"
    assert build.to_dict()["build_end"] == "2026-04-02T10:14:00.500000Z"


def test_build_status_has_the_documented_values() -> None:
    status = _get("hooks.metakraftwerk", "BuildStatus")
    assert issubclass(status, Enum)
    assert [str(word) for word in status] == ["BUILDING", "FINISHED", "FAILED", "CANCELED"]


TREE = {
    "ConfigurationError": "MetaKraftwerkError",
    "ConnectionFailedError": "MetaKraftwerkError",
    "ProtocolError": "MetaKraftwerkError",
    "ApiError": "MetaKraftwerkError",
    "BadRequestError": "ApiError",
    "NotAuthenticatedError": "ApiError",
    "ForbiddenError": "ApiError",
    "NotFoundError": "ApiError",
    "RateLimitedError": "ApiError",
    "ServerError": "ApiError",
    "BuildError": "MetaKraftwerkError",
    "BuildFailedError": "BuildError",
    "BuildCanceledError": "BuildError",
    "BuildTimeoutError": "MetaKraftwerkError",
    "BuildStartUncertainError": "MetaKraftwerkError",
    "DownloadError": "MetaKraftwerkError",
    "IntegrityError": "DownloadError",
}


@pytest.mark.parametrize(("name", "parent"), TREE.items())
def test_tree_of_exceptions(name: str, parent: str) -> None:
    exceptions = importlib.import_module("mkw_airflow_provider.exceptions")
    assert getattr(exceptions, name).__mro__[1] is getattr(exceptions, parent)
    assert f"── {name} " in str(exceptions.__doc__)


def test_package_ships_types_and_version() -> None:
    package = importlib.import_module("mkw_airflow_provider")
    assert (Path(str(package.__file__)).parent / "py.typed").is_file()
    assert importlib.import_module("importlib.metadata").version("mkw-airflow-provider") == package.__version__
