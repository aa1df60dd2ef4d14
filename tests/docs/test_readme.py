"""The README promises little, and keeps it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from mkw_airflow_provider.emulator import Emulator
from tests.docs.pages import Page


@pytest.fixture
def source(readme: Page) -> str:
    (block,) = readme.code("python")
    return block


@pytest.fixture
def dag(source: str) -> Any:
    names: dict[str, Any] = {}
    exec(compile(source.replace("}):", "}) as dag:"), "README.md", "exec"), names)
    return names["dag"]


def test_its_dag_has_at_most_16_lines(source: str) -> None:
    assert len(source.splitlines()) <= 16


def test_dag_is_the_described_chain(dag: Any) -> None:
    kinds = {task.task_id.removeprefix("warehouse."): task.task_type for task in dag.tasks}
    assert kinds == {
        "start": "StartBuildOperator",
        "wait": "BuildSensor",
        "download": "DownloadBuildOperator",
        "patterns_all_DEPLOY_TO_DEV": "ListBuildPatternsOperator",
        "deploy_all_DEPLOY_TO_DEV": "BuildDeploymentOperator",
    }


def test_dag_runs_on_the_emulator(dag: Any, connected: Emulator, tmp_path: Path) -> None:
    start, wait, download, patterns = (
        dag.get_task(f"warehouse.{name}") for name in ("start", "wait", "download", "patterns_all_DEPLOY_TO_DEV")
    )
    connected.set(build_seconds=60)
    wait.build_id = download.build_id = patterns.build_id = build_id = start.execute({})
    with pytest.raises(TaskDeferred):
        wait.execute({})
    connected.end_build(build_id, "FINISHED")
    assert wait.execute({})["status"] == "FINISHED"
    download.destination = str(tmp_path)
    for file in download.execute({})["files"]:
        assert hashlib.sha256(Path(file["path"]).read_bytes()).hexdigest() == file["sha256"]
    assert patterns.execute({}) == ["CORE_DV_HLS", "CORE_DV_SAT"]


def test_its_connection_is_complete(readme: Page, connection_of: Any) -> None:
    (block,) = readme.code("bash")
    settings = connection_of(block)
    assert (settings.base_url, settings.login) == ("https://app.metakraftwerk.com", "your.email@example.com")


def test_tests_are_run_by_make_test(readme: Page) -> None:
    assert "make test" in readme.text
    assert "pytest" not in readme.text


def test_named_exceptions_exist(readme: Page) -> None:
    from mkw_airflow_provider import exceptions

    named = {span for span in readme.spans() if span.endswith("Error")}
    assert named
    assert named <= set(exceptions.__all__)
