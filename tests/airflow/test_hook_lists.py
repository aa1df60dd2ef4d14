"""The hook's lists: one method per endpoint, with the endpoint's signature, against the emulator."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from mkw_airflow_provider.client.api import instances
from mkw_airflow_provider.emulator import Emulator
from mkw_airflow_provider.exceptions import ConfigurationError, NotFoundError, QueryError
from mkw_airflow_provider.hooks.metakraftwerk import MetaKraftwerkHook
from mkw_airflow_provider.selection import InstanceSelector

PROJECT = {"project": "DEMO_PROJECT"}


@pytest.mark.parametrize(
    ("method", "filters", "name"),
    [
        ("find_projects", {}, "DEMO_PROJECT"),
        ("find_patterns", {"name": "CORE_DV_HLS"}, "CORE_DV_HLS"),
        ("find_releases", {"group": "DWH_GROUP"}, "R1"),
        ("find_release_groups", {}, "DWH_GROUP"),
        ("find_deployments", {"pattern": "CORE_DV_HLS"}, "DEPLOY_TO_DEV"),
        ("find_agents", {"group": "DEV_AGENTS"}, "dev_md_agent"),
        ("find_agent_groups", {"name": "DEV_AGENTS"}, "DEV_AGENTS"),
        ("find_instance_folders", {**PROJECT, "deleted": False}, "BUSINESS_VAULT"),
        ("find_instances", {**PROJECT, "pattern": "CORE_DV_HLS", "folder": "/BUSINESS_VAULT"}, "AIRPLANE"),
    ],
)
def test_list_has_what_the_server_has(connected: Emulator, method: str, filters: dict[str, Any], name: str) -> None:
    found = getattr(MetaKraftwerkHook(), method)(**filters)
    assert name in [record.name for record in found]


def test_method_has_the_endpoints_signature() -> None:
    method = inspect.signature(MetaKraftwerkHook.find_instances)
    assert list(method.parameters)[1:] == list(inspect.signature(instances.find_instances).parameters)
    assert method.return_annotation == "list[Instance]"


def test_project_of_the_connection_is_used(connected: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="`project`"):
        MetaKraftwerkHook().find_instances()


def test_unknown_project_is_not_found(connected: Emulator) -> None:
    with pytest.raises(NotFoundError, match="NO_SUCH"):
        MetaKraftwerkHook().find_instances(project="NO_SUCH")


def test_selection_finds_ids(connected: Emulator) -> None:
    hook = MetaKraftwerkHook()
    selection = hook.select_instances(InstanceSelector(pattern="CORE_DV_HLS", name="AIRPLANE"), **PROJECT)
    assert selection.ids == hook.select_instances({"pattern": "CORE_DV_HLS", "name": "AIRPLANE"}, **PROJECT).ids
    assert selection.by_pattern == {"CORE_DV_HLS": 1}


def test_query_returns_rows(connected: Emulator) -> None:
    result = MetaKraftwerkHook().query_metadata("SELECT * FROM @INFORMATION_SCHEMA.INSTANCES", **PROJECT)
    assert result.status == "FINISHED"
    assert len(result.rows) > 1


def test_wrong_statement_is_an_error(connected: Emulator) -> None:
    with pytest.raises(QueryError):
        MetaKraftwerkHook().query_metadata("SELECT FROM nothing", **PROJECT)


def test_deliveries_tell_what_changed(connected: Emulator) -> None:
    build = connected.start_build()
    connected.end_build(build["id"], "FINISHED")
    deliveries = MetaKraftwerkHook().find_deliveries(build["id"], **PROJECT)
    assert {delivery.mode for delivery in deliveries} <= {"CREATION", "INST_DELTA"}
