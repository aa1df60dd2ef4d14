"""A deployment is skipped only if this task deployed the same files last, without another deployment since."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowSkipException

from mkw_airflow_provider.emulator import Emulator
from mkw_airflow_provider.exceptions import ConfigurationError
from mkw_airflow_provider.hooks.metakraftwerk import MetaKraftwerkHook
from mkw_airflow_provider.operators.deployment import BuildDeploymentOperator
from tests.kit.tasks import context_of

TARGET = {"pattern": "CORE_DV_HLS", "deployment": "DEPLOY_TO_DEV"}
Night = Callable[..., int]


@pytest.fixture
def night(connected: Emulator) -> Night:
    """Return a function that builds and deploys once, in a DAG run of its own; XComs outlive it, as in Airflow."""
    xcoms: dict[str, Any] = {}
    count = 0

    def run(*contents: str, **arguments: Any) -> int:
        nonlocal count
        count += 1
        build = connected.start_build()
        connected.end_build(build["id"], "FINISHED")
        files = [{"pattern": "CORE_DV_HLS", "name": f"{build['id']}.zip", "content": content} for content in contents]
        operator = BuildDeploymentOperator(
            task_id="deploy",
            build_id=build["id"],
            **{
                "manifest": {"build_id": build["id"], "project_id": build["project_id"], "files": files},
                "if_unchanged": "skip",
                **TARGET,
                **arguments,
            },
        )
        return int(operator.execute(context_of(operator, run_id=f"night {count}", xcom=xcoms)))

    return run


def test_unchanged_files_are_not_deployed(night: Night, connected: Emulator) -> None:
    first = night("a", "b")
    with pytest.raises(AirflowSkipException, match=f"same content as those of build .*deployment {first}"):
        night("b", "a")
    with pytest.raises(AirflowSkipException):
        night("a", "b")
    assert len(connected.build_deployments()) == 1


def test_changed_files_are_deployed(night: Night, connected: Emulator) -> None:
    deployed = [night("a"), night("b"), night("b", "c"), night("a")]
    assert [row["id"] for row in connected.build_deployments()] == deployed


def test_deployment_by_someone_else_counts(night: Night, connected: Emulator) -> None:
    night("a")
    build = connected.start_build()
    connected.end_build(build["id"], "FINISHED")
    MetaKraftwerkHook().create_build_deployment(build_id=build["id"], **TARGET)
    night("a")
    assert len(connected.build_deployments()) == 3


def test_another_project_does_not_count(night: Night, connected: Emulator) -> None:
    """Two projects may share a pattern and its deployment; the API lists both in one list."""
    night("a")
    connected.add_project("OTHER_PROJECT")
    connected.add_folder("/SALES", pattern="CORE_DV_HLS", project="OTHER_PROJECT")
    instance = connected.add_instance("ORDER", pattern="CORE_DV_HLS", folder="/SALES", project="OTHER_PROJECT")
    build = connected.start_build(project="OTHER_PROJECT", instances=[instance])
    connected.end_build(build["id"], "FINISHED")
    MetaKraftwerkHook().create_build_deployment(build_id=build["id"], **TARGET)
    with pytest.raises(AirflowSkipException):
        night("a")


def test_another_agent_was_not_deployed_to(night: Night, connected: Emulator) -> None:
    night("a")
    night("a", agent="dev_md_agent")
    assert len(connected.build_deployments()) == 2


def test_unknown_means_deploy(night: Night, connected: Emulator) -> None:
    night()
    night()
    assert len(connected.build_deployments()) == 2


def test_manifest_of_another_build_is_ignored(night: Night, connected: Emulator) -> None:
    """The build was started again without a new download: the manifest is still of the previous build."""
    night("a")
    file = {"pattern": "CORE_DV_HLS", "name": "a.zip", "content": "a"}
    night(manifest={"build_id": 5139, "files": [file]})
    assert len(connected.build_deployments()) == 2


def test_deploy_is_the_default(night: Night, connected: Emulator) -> None:
    night("a", if_unchanged="deploy")
    night("a", if_unchanged="deploy")
    assert len(connected.build_deployments()) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"if_unchanged": "skip"}, "manifest=download.output"), ({"if_unchanged": "never"}, "one of deploy, skip")],
)
def test_wrong_arguments_are_rejected(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        BuildDeploymentOperator(task_id="deploy", build_id=1, **TARGET, **arguments)
