"""The nightly chain on real processes: Airflow's four components and an emulated MetaKraftwerk."""

from __future__ import annotations

import hashlib
import json
import time
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from dev.demo import chain
from dev.demo.chain import Finished
from dev.stack.airflow import AirflowStack
from dev.stack.emulator import EmulatorProgram
from mkw_airflow_provider.emulator import Control

DAG_ID = "metakraftwerk_four_tasks"
REASON = "AIRPLANE: source column IATA_CODE is missing"


@dataclass(frozen=True)
class Night:
    """One run of the chain, and the requests and records on the server."""

    run: Finished
    requests: list[dict[str, Any]] = field(repr=False)
    build: dict[str, Any]
    downloads: list[dict[str, Any]]
    deployments: list[dict[str, Any]]
    tokens: list[str] = field(repr=False)

    def count(self, method: str, path: str) -> int:
        return sum(request["method"] == method and request["path"] == path for request in self.requests)

    def states(self) -> dict[str, tuple[str, int]]:
        return {task["task_id"]: (task["state"], task["try_number"]) for task in self.run.task_instances}


def _night(run: Finished, control: Control) -> Night:
    (build,) = control.builds()
    return Night(
        run=run,
        requests=control.requests(),
        build=build,
        downloads=control.downloads(),
        deployments=control.build_deployments(),
        tokens=[token["token"] for token in control.tokens()],
    )


@pytest.fixture(scope="module")
def good(airflow: AirflowStack, metakraftwerk_program: EmulatorProgram) -> Night:
    """A run without faults."""
    control = metakraftwerk_program.control
    control.reset()
    return _night(chain.run(airflow.client, control, DAG_ID, _quiet), control)


@pytest.fixture(scope="module")
def bad(airflow: AirflowStack, metakraftwerk_program: EmulatorProgram) -> Night:
    """A run whose build fails while the triggerer waits for it."""
    client, control = airflow.client, metakraftwerk_program.control
    control.reset()
    client.wait_for_dag(DAG_ID)
    run_id = client.trigger(DAG_ID)
    deadline = time.monotonic() + 120
    while client.task_instance(DAG_ID, run_id, "wait_for_build")["state"] != "deferred":
        assert time.monotonic() < deadline, "The wait was never deferred."
        time.sleep(0.2)
    control.end_build(control.builds()[0]["id"], "FAILED", REASON)
    state = client.wait_for_run(DAG_ID, run_id)
    run = Finished(DAG_ID, run_id, state, client.events(DAG_ID, run_id), client.task_instances(DAG_ID, run_id))
    return _night(run, control)


@pytest.fixture(scope="module")
def manifest(airflow: AirflowStack, good: Night) -> dict[str, Any]:
    found: dict[str, Any] = airflow.client.xcom(DAG_ID, good.run.run_id, "download_build")
    return found


class TestChain:
    def test_tasks_succeed_at_the_first_attempt(self, good: Night) -> None:
        assert good.run.state == "success"
        assert good.states() == {
            "start_build": ("success", 1),
            "wait_for_build": ("success", 1),
            "download_build": ("success", 1),
            "deploy_build": ("success", 1),
        }

    def test_one_request_starts_one_build(self, good: Night) -> None:
        assert good.count("POST", "/api/v1/builds") == 1
        assert good.build["status"] == "FINISHED"

    def test_tasks_pass_on_the_build_id(self, airflow: AirflowStack, good: Night, manifest: dict[str, Any]) -> None:
        client, run_id, build_id = airflow.client, good.run.run_id, good.build["id"]
        assert client.xcom(DAG_ID, run_id, "start_build") == build_id
        assert client.xcom(DAG_ID, run_id, "start_build", "build_id") == build_id
        assert client.xcom(DAG_ID, run_id, "wait_for_build")["id"] == build_id
        assert manifest["build_id"] == build_id

    def test_log_summarizes_the_wait(self, airflow: AirflowStack, good: Night) -> None:
        shown = airflow.client.log(DAG_ID, good.run.run_id, "wait_for_build")
        assert f"Build {good.build['id']}: polled" in shown
        assert f"Build {good.build['id']} ended FINISHED after" in shown

    def test_the_wait_takes_as_long_as_the_build(self, good: Night) -> None:
        (wait,) = (task for task in good.run.task_instances if task["task_id"] == "wait_for_build")
        assert wait["duration"] > 0

    def test_files_match_the_manifest(self, good: Night, manifest: dict[str, Any]) -> None:
        assert {file["download_id"] for file in manifest["files"]} == {download["id"] for download in good.downloads}
        for file in manifest["files"]:
            content = _local(file["path"]).read_bytes()
            assert len(content) == file["size"]
            assert hashlib.sha256(content).hexdigest() == file["sha256"]
            assert zipfile.ZipFile(_local(file["path"])).testzip() is None

    def test_each_file_is_fetched_once(self, good: Night) -> None:
        assert good.downloads
        assert [download["downloaded"] for download in good.downloads] == [1] * len(good.downloads)

    def test_folder_has_files_and_manifest_only(self, manifest: dict[str, Any]) -> None:
        paths = [_local(file["path"]) for file in manifest["files"]]
        (folder,) = {path.parent for path in paths}
        assert json.loads((folder / "manifest.json").read_text()) == manifest
        assert {path.name for path in folder.iterdir()} == {path.name for path in paths} | {"manifest.json"}

    def test_the_build_is_deployed_once(self, airflow: AirflowStack, good: Night) -> None:
        (deployment,) = good.deployments
        assert deployment["id"] == airflow.client.xcom(DAG_ID, good.run.run_id, "deploy_build")
        assert deployment["build_id"] == good.build["id"]
        assert good.count("POST", "/api/v1/build_deployments") == 1

    def test_no_token_is_in_any_file_of_airflow(self, airflow: AirflowStack, good: Night) -> None:
        assert good.tokens
        for path in airflow.home.rglob("*"):
            if path.is_file():
                content = path.read_bytes()
                assert [token for token in good.tokens if token.encode() in content] == [], path


class TestFailedBuild:
    def test_wait_fails_without_a_retry(self, bad: Night) -> None:
        assert bad.run.state == "failed"
        assert bad.states() == {
            "start_build": ("success", 1),
            "wait_for_build": ("failed", 1),
            "download_build": ("upstream_failed", 0),
            "deploy_build": ("upstream_failed", 0),
        }

    def test_nothing_is_downloaded_or_deployed(self, bad: Night) -> None:
        assert bad.build["status"] == "FAILED"
        assert bad.deployments == []
        assert bad.count("POST", "/api/v1/build_deployments") == 0
        assert sum(download["downloaded"] for download in bad.downloads) == 0

    def test_log_tells_reason_and_next_step(self, airflow: AirflowStack, bad: Night) -> None:
        log = airflow.client.log(DAG_ID, bad.run.run_id, "wait_for_build")
        assert f"{bad.build['id']}" in log
        assert REASON in log
        assert "start another build" in log


def _local(path: str) -> Path:
    return Path(path.removeprefix("file://"))


def _quiet(seconds: float, what: str, state: str, meaning: str) -> None:
    """Show nothing."""
