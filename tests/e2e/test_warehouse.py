"""Task groups, approvals, assets and lineage on a real Airflow. All runs share one Airflow and run side by side."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow import __version__ as airflow_version

from mkw_airflow_provider.hooks.metakraftwerk import MetaKraftwerkHook
from tests.e2e.conftest import Warehouse

pytestmark = [
    pytest.mark.skipif(not airflow_version.startswith("3.3"), reason="approvals and assets as in Airflow 3.3"),
    pytest.mark.timeout(900),
]
#: Airflow 3.3 fails a task that is answered within about a second after it began to wait for a person.
HITL_RACE = 7.0


def _wait_until(condition: Callable[[], Any], what: str, seconds: float = 240.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, what
        time.sleep(0.3)
    return found


def _states(warehouse: Warehouse, dag_id: str, run_id: str) -> dict[str, str]:
    """Return the states of a run's tasks; a mapped one has its index in brackets."""
    return {
        task["task_id"] + (f"[{task['map_index']}]" if task["map_index"] >= 0 else ""): task["state"]
        for task in warehouse.client.task_instances(dag_id, run_id)
    }


def _wait_for_tasks(warehouse: Warehouse, dag_id: str, run_id: str, state: str, *tasks: str) -> None:
    _wait_until(
        lambda: {_states(warehouse, dag_id, run_id).get(task) for task in tasks} == {state},
        f"{tasks} of {dag_id} are never {state}.",
    )


def _deployments(hook: MetaKraftwerkHook, build_id: int) -> list[tuple[str | None, str | None]]:
    """Return pattern and deployment of each deployment of a build, in their order."""
    patterns = {pattern.id: pattern.name for pattern in hook.find_patterns()}
    deployments = {deployment.id: deployment.name for deployment in hook.find_deployments()}
    return [
        (patterns[item.pattern_id], deployments[item.deployment_id])
        for item in hook.find_build_deployments(build_id=build_id)
    ]


@pytest.fixture
def hook(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> MetaKraftwerkHook:
    """A person's access to the server."""
    monkeypatch.setenv("AIRFLOW_CONN_METAKRAFTWERK_DEFAULT", warehouse.control.connection_json)
    return MetaKraftwerkHook()


@pytest.fixture(scope="module")
def runs(warehouse: Warehouse) -> dict[str, str]:
    """Runs that begin at the same time, by name."""
    warehouse.control.set(build_seconds=2)
    for dag_id in ("nights", "promotion", "projects", "retries", "delivery", "metakraftwerk_load_on_asset"):
        warehouse.client.wait_for_dag(dag_id)
    trigger = warehouse.client.trigger
    return {
        "delivery": trigger("delivery"),
        "approved": trigger("promotion", run_id="approved"),
        "rejected": trigger("promotion", run_id="rejected"),
        "projects": trigger("projects"),
        "retries": trigger("retries"),
        "night": trigger("nights", run_id="night_1"),
    }


@pytest.fixture(scope="module")
def answered(warehouse: Warehouse, runs: dict[str, str]) -> dict[str, str]:
    """The same runs, after a person has answered all approvals."""
    approve = "mart.approve_DEPLOY_TO_TEST"
    inner = f"deliver.{approve}"
    for name in ("approved", "rejected"):
        _wait_for_tasks(warehouse, "promotion", runs[name], "awaiting_input", approve)
    _wait_for_tasks(warehouse, "projects", runs["projects"], "awaiting_input", f"{inner}[0]", f"{inner}[1]")
    time.sleep(HITL_RACE)
    client = warehouse.client
    client.respond("promotion", runs["approved"], approve, "Approve")
    client.respond("promotion", runs["rejected"], approve, "Reject")
    client.respond("projects", runs["projects"], inner, "Reject", map_index=0)
    client.respond("projects", runs["projects"], inner, "Approve", map_index=1)
    return runs


class TestPromotion:
    def test_approved_one_is_deployed(
        self, warehouse: Warehouse, answered: dict[str, str], hook: MetaKraftwerkHook
    ) -> None:
        run_id = answered["approved"]
        assert warehouse.client.wait_for_run("promotion", run_id) == "success"
        build_id = warehouse.client.xcom("promotion", run_id, "mart.start")
        stages = [("MART_DIM", "DEPLOY_TO_DEV"), ("MART_DIM", "DEPLOY_TO_TEST")]
        assert _deployments(hook, build_id) == stages

    def test_rejected_one_is_not(self, warehouse: Warehouse, answered: dict[str, str], hook: MetaKraftwerkHook) -> None:
        run_id = answered["rejected"]
        assert warehouse.client.wait_for_run("promotion", run_id) == "failed"
        states = _states(warehouse, "promotion", run_id)
        assert states["mart.approve_DEPLOY_TO_TEST"] == "failed"
        assert states["mart.deploy_MART_DIM_DEPLOY_TO_TEST"] == "upstream_failed"
        build_id = warehouse.client.xcom("promotion", run_id, "mart.start")
        assert _deployments(hook, build_id) == [("MART_DIM", "DEPLOY_TO_DEV")]

    def test_rejection_affects_one_mapped_project(
        self, warehouse: Warehouse, answered: dict[str, str], hook: MetaKraftwerkHook
    ) -> None:
        run_id = answered["projects"]
        assert warehouse.client.wait_for_run("projects", run_id) == "failed"
        states = _states(warehouse, "projects", run_id)
        deploy = "deliver.mart.deploy_MART_DIM_DEPLOY_TO_TEST"
        assert (states[f"{deploy}[0]"], states[f"{deploy}[1]"]) == ("upstream_failed", "success")
        builds = [warehouse.client.xcom("projects", run_id, "deliver.mart.start", map_index=index) for index in (0, 1)]
        deployed = [_deployments(hook, build_id) for build_id in builds]
        assert deployed == [[], [("MART_DIM", "DEPLOY_TO_TEST")]]
        approve = "deliver.mart.approve_DEPLOY_TO_TEST"
        questions = [warehouse.client.question("projects", run_id, approve, map_index=index) for index in (0, 1)]
        assert questions == [f"Deploy build {build_id} with DEPLOY_TO_TEST?" for build_id in builds]

    def test_single_tasks_can_be_cleared(
        self, warehouse: Warehouse, answered: dict[str, str], hook: MetaKraftwerkHook
    ) -> None:
        client, run_id = warehouse.client, answered["approved"]
        client.wait_for_run("promotion", run_id)
        build_id = client.xcom("promotion", run_id, "mart.start")
        files = [item["downloaded"] for item in warehouse.control.downloads() if item["build_id"] == build_id]
        for task_id in ("mart.wait", "mart.download", "mart.deploy_MART_DIM_DEPLOY_TO_TEST"):
            client.clear("promotion", run_id, task_id)
        assert client.wait_for_run("promotion", run_id) == "success"
        assert client.xcom("promotion", run_id, "mart.start") == build_id
        assert files == [item["downloaded"] for item in warehouse.control.downloads() if item["build_id"] == build_id]
        tests = [deployment for _, deployment in _deployments(hook, build_id)]
        assert tests == ["DEPLOY_TO_DEV", "DEPLOY_TO_TEST", "DEPLOY_TO_TEST"]


class TestRetries:
    def test_each_task_is_retried_without_repeating(
        self, warehouse: Warehouse, runs: dict[str, str], hook: MetaKraftwerkHook
    ) -> None:
        """Each attempt that fails has done its work already."""
        client, run_id = warehouse.client, runs["retries"]
        assert client.wait_for_run("retries", run_id) == "success"
        tasks = client.task_instances("retries", run_id)
        assert {task["task_id"]: task["try_number"] for task in tasks} == {
            "mart.start": 2,
            "mart.wait": 2,
            "mart.download": 2,
            "mart.deploy_MART_DIM_DEPLOY_TO_DEV": 2,
        }
        build_id = client.xcom("retries", run_id, "mart.start")
        builds = [build for build in warehouse.control.builds() if run_id in str(build["description"])]
        assert [build["id"] for build in builds] == [build_id]
        assert _deployments(hook, build_id) == [("MART_DIM", "DEPLOY_TO_DEV")]
        downloads = [item["downloaded"] for item in warehouse.control.downloads() if item["build_id"] == build_id]
        assert downloads == [1] * len(downloads)


class TestNights:
    def test_only_changed_patterns_are_deployed(
        self, warehouse: Warehouse, runs: dict[str, str], hook: MetaKraftwerkHook
    ) -> None:
        client, control = warehouse.client, warehouse.control
        deploy = "crm.deploy_all_DEPLOY_TO_DEV"
        (customer,) = hook.find_instances(project="FINANCE_DWH", name="CUSTOMER")

        def night(run_id: str) -> tuple[int, dict[str, str]]:
            """Wait for a night; return its build and the state of each pattern's deployment."""
            client.wait_for_run("nights", run_id)
            states = _states(warehouse, "nights", run_id)
            patterns = client.xcom("nights", run_id, "crm.patterns_all_DEPLOY_TO_DEV")
            found = {pattern: states[f"{deploy}[{index}]"] for index, pattern in enumerate(patterns)}
            return client.xcom("nights", run_id, "crm.start"), found

        first, states = night(runs["night"])
        assert states == {"CORE_DV_HLS": "success", "CORE_DV_SAT": "success"}
        assert len(client.xcom("nights", "night_1", "crm.start", "selection")["ids"]) == 4
        second, states = night(client.trigger("nights", run_id="night_2"))
        assert states == {"CORE_DV_HLS": "skipped", "CORE_DV_SAT": "skipped"}
        assert client.run("nights", "night_2")["state"] == "success"
        log = client.log("nights", "night_2", deploy, map_index=0)
        assert f"The files of build {second} have the same content as those of build {first}" in log
        control.set_instance(customer.id, changed=True)
        third, states = night(client.trigger("nights", run_id="night_3"))
        assert states == {"CORE_DV_HLS": "success", "CORE_DV_SAT": "skipped"}
        hook.create_build_deployment(build_id=third, pattern="CORE_DV_SAT", deployment="DEPLOY_TO_DEV")
        fourth, states = night(client.trigger("nights", run_id="night_4"))
        assert states == {"CORE_DV_HLS": "skipped", "CORE_DV_SAT": "success"}
        assert _deployments(hook, fourth) == [("CORE_DV_SAT", "DEPLOY_TO_DEV")]
        labels = {task["rendered_map_index"] for task in client.task_instances("nights", "night_4")} - {None, ""}
        assert labels >= {"CORE_DV_HLS", "CORE_DV_SAT"}


class TestAssets:
    def test_events_say_what_was_done(self, warehouse: Warehouse, runs: dict[str, str]) -> None:
        client, run_id = warehouse.client, runs["delivery"]
        assert client.wait_for_run("delivery", run_id) == "success"
        extra = {event["source_task_id"]: event["extra"] for event in client.asset_events("delivery", run_id)}
        build_id = client.xcom("delivery", run_id, "build")
        files = client.xcom("delivery", run_id, "download")["files"]
        assert (extra["build"]["build_id"], extra["build"]["status"]) == (build_id, "FINISHED")
        assert (extra["download"]["build_id"], extra["download"]["files"]) == (build_id, files)
        assert extra["deploy"]["build_deployment_id"] == client.xcom("delivery", run_id, "deploy")
        assert (extra["deploy"]["build_id"], extra["deploy"]["files"]) == (build_id, files)

    def test_load_starts_with_the_files_of_the_event(self, warehouse: Warehouse, runs: dict[str, str]) -> None:
        client, dag_id = warehouse.client, "metakraftwerk_load_on_asset"
        client.wait_for_run("delivery", runs["delivery"])
        run = _wait_until(lambda: client.runs(dag_id), "The asset has started no run.")[0]["dag_run_id"]
        assert client.wait_for_run(dag_id, run) == "success"
        files = client.xcom("delivery", runs["delivery"], "download")["files"]
        build_id = client.xcom("delivery", runs["delivery"], "build")
        assert client.xcom(dag_id, run, "load") == {str(build_id): [file["name"] for file in files]}


class TestLineage:
    def test_tasks_report_build_inputs_and_outputs(self, warehouse: Warehouse, runs: dict[str, str]) -> None:
        client, run_id = warehouse.client, runs["delivery"]
        client.wait_for_run("delivery", run_id)
        build_id = client.xcom("delivery", run_id, "build")

        def complete() -> dict[str, dict[str, Any]]:
            return {
                event["job"]["name"]: event
                for event in _lineage(warehouse.lineage)
                if event["eventType"] == "COMPLETE" and event["job"]["name"].startswith("delivery.")
            }

        _wait_until(lambda: len(complete()) == 3, "Lineage is missing.", 30)
        host = f"metakraftwerk://127.0.0.1:{warehouse.control.port}"
        pattern = (host, "DEMO_PROJECT/CORE_DV_HLS")
        folder = Path(client.xcom("delivery", run_id, "download")["files"][0]["path"].removeprefix("file://")).parent
        found = {name: (_datasets(event, "inputs"), _datasets(event, "outputs")) for name, event in complete().items()}
        assert found == {
            "delivery.build": ([], [pattern]),
            "delivery.download": ([pattern], [("file", str(folder))]),
            "delivery.deploy": ([pattern], [(host, "DEMO_PROJECT/CORE_DV_HLS/DEPLOY_TO_TEST")]),
        }
        facets = [event["run"]["facets"]["externalQuery"] for event in complete().values()]
        assert {facet["externalQueryId"] for facet in facets} == {str(build_id)}


def _lineage(path: Path) -> list[dict[str, Any]]:
    # One file for each event, or one line.
    return [json.loads(line) for file in path.parent.glob(f"{path.name}*") for line in file.read_text().splitlines()]


def _datasets(event: dict[str, Any], side: str) -> list[tuple[str, str]]:
    return [(dataset["namespace"], dataset["name"]) for dataset in event[side]]
