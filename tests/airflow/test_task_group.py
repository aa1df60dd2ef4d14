"""The chain as one object: its tasks, their dependencies, and what is rejected when the DAG file is parsed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pendulum
import pytest
from airflow.providers.common.compat.sdk import DAG, MappedOperator, task_group

from mkw_airflow_provider.exceptions import ConfigurationError
from mkw_airflow_provider.selection import InstanceSelector
from mkw_airflow_provider.task_groups import BuildTaskGroup, Deployment
from mkw_airflow_provider.version_compat import AIRFLOW_V_3_1_PLUS

WAREHOUSE: dict[str, Any] = {"project": "DEMO_PROJECT", "instances": InstanceSelector(pattern="CORE_*")}


@pytest.fixture
def group() -> Callable[..., BuildTaskGroup]:
    """Return a function that makes a group in a DAG of its own."""

    def make(**arguments: Any) -> BuildTaskGroup:
        with DAG("warehouse", schedule=None, start_date=pendulum.datetime(2026, 1, 1)):
            return BuildTaskGroup("build", **{**WAREHOUSE, **arguments})

    return make


def edges(group: BuildTaskGroup) -> set[tuple[str, str]]:
    """Return the edges between the tasks of a group, without its prefix."""
    tasks = group.children.values()
    return {
        (task.task_id.removeprefix("build."), other.removeprefix("build."))
        for task in tasks
        for other in task.downstream_task_ids
    }


def test_start_and_wait_always_exist(group: Callable[..., BuildTaskGroup]) -> None:
    made = group()
    assert edges(made) == {("start", "wait")}
    assert made.start.instances == WAREHOUSE["instances"]
    assert made.build_id.operator is made.start


def test_no_list_is_an_empty_one(group: Callable[..., BuildTaskGroup]) -> None:
    assert edges(group(deployments=None, approve=None)) == {("start", "wait")}


def test_deployments_are_chained(group: Callable[..., BuildTaskGroup]) -> None:
    deployments = [
        Deployment("CORE_DV_HLS", "TO_DEV"),
        {"pattern": "CORE_DV_SAT", "deployment": "TO_DEV", "agent": "a"},
    ]
    made = group(destination="/data/{{ run_id }}", deployments=deployments)
    assert edges(made) >= {
        ("start", "wait"),
        ("wait", "download"),
        ("download", "deploy_CORE_DV_HLS_TO_DEV"),
        ("deploy_CORE_DV_HLS_TO_DEV", "deploy_CORE_DV_SAT_TO_DEV"),
    }
    assert made.children["build.deploy_CORE_DV_SAT_TO_DEV"].agent == "a"
    assert made.manifest.operator is made.download


@pytest.mark.parametrize("as_defaults", [False, True])
def test_only_if_changed_compares_manifests(group: Callable[..., BuildTaskGroup], as_defaults: bool) -> None:
    rules: dict[str, Any] = {"ignore_lines": ["Generated at"], "ignore_members": ["LOG"]}
    given = {"default_args": rules} if as_defaults else rules
    made = group(destination="/data", deployments=[Deployment("P", "D")], only_if_changed=True, **given)
    assert made.download is not None
    assert {name: getattr(made.download, name) for name in rules} == rules
    deploy = made.children["build.deploy_P_D"]
    assert deploy.if_unchanged == "skip"
    assert deploy.manifest.operator is made.download


@pytest.mark.skipif(not AIRFLOW_V_3_1_PLUS, reason="Airflow has no ApprovalOperator before 3.1")
def test_approval_precedes_its_deployment(group: Callable[..., BuildTaskGroup]) -> None:
    made = group(deployments=[Deployment("P", "DEV"), Deployment("P", "PROD")], approve=["PROD"])
    assert {("deploy_P_DEV", "approve_PROD"), ("approve_PROD", "deploy_P_PROD")} <= edges(made)
    assert ("deploy_P_DEV", "deploy_P_PROD") not in edges(made)
    assert made.children["build.approve_PROD"].fail_on_reject


@pytest.mark.skipif(AIRFLOW_V_3_1_PLUS, reason="Airflow has the ApprovalOperator")
def test_approval_needs_a_newer_airflow(group: Callable[..., BuildTaskGroup]) -> None:
    with pytest.raises(ConfigurationError, match=r"Airflow 3\.1"):
        group(deployments=[Deployment("P", "PROD")], approve=["PROD"])


def test_glob_becomes_a_mapped_task(group: Callable[..., BuildTaskGroup]) -> None:
    made = group(deployments=[Deployment("*", "DEV")])
    deploy = made.children["build.deploy_all_DEV"]
    assert isinstance(deploy, MappedOperator)
    assert {("wait", "patterns_all_DEV"), ("patterns_all_DEV", "deploy_all_DEV")} <= edges(made)


def in_mapped_group(deployment: Deployment) -> BuildTaskGroup:
    made: list[BuildTaskGroup] = []
    with DAG("warehouse", schedule=None, start_date=pendulum.datetime(2026, 1, 1)):

        @task_group
        def of_project(project: str) -> None:
            made.append(BuildTaskGroup("build", project=project, instances=[{"id": 1}], deployments=[deployment]))

        of_project.expand(project=["A", "B"])
    return made[0]


def test_group_works_in_a_mapped_group() -> None:
    made = in_mapped_group(Deployment("P", "DEV"))
    assert made.start.map_index_template == "{{ task.project or task.project_id }}"


def test_glob_in_a_mapped_group_is_rejected() -> None:
    with pytest.raises(ConfigurationError, match="Python loop"):
        in_mapped_group(Deployment("*", "DEV"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"deployments": [Deployment("P", "DEV")], "only_if_changed": True}, "give a `destination`"),
        ({"destination": "/data", "only_if_changed": "False"}, "must be True or False"),
        ({"deployments": [Deployment("P", "DEV")], "approve": ["PROD"]}, "'PROD'"),
        ({"deployments": [Deployment("P", "DEV")], "approve": "DEV"}, "list of names"),
        ({"deployments": [Deployment("P", "DEV")], "approve": iter(["DEV"])}, "list of names"),
        ({"deployments": [Deployment("P", "DEV")], "approve": [["DEV"]]}, "list of names"),
        ({"deployments": [Deployment(None, "DEV")]}, "the texts `pattern` and `deployment`"),
        ({"deployments": [{"pattern": "P", "deployment": 5}]}, "the texts `pattern` and `deployment`"),
        ({"deployments": [Deployment("P", "DEV"), Deployment("P", "DEV")]}, "more than one entry"),
        ({"deployments": [{"pattern": "P"}]}, "`deployment`"),
        ({"deployments": [{"pattern": "P", "deployment": "D", "agents": "x"}]}, "`agent_group`"),
        ({"instances": [InstanceSelector()]}, "one InstanceSelector"),
        ({"destinaton": "/data", "only_if_changed": True}, "`destinaton`; did you mean `destination`"),
        ({"tooltipp": "x"}, "did you mean `tooltip`"),
    ],
)
def test_wrong_arguments_are_rejected(
    group: Callable[..., BuildTaskGroup], arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        group(**arguments)


def test_manifest_needs_a_destination(group: Callable[..., BuildTaskGroup]) -> None:
    with pytest.raises(ConfigurationError, match="`destination`"):
        _ = group().manifest
