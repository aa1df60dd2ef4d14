"""StartBuildOperator: what it sends, returns, pushes and logs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from mkw_airflow_provider.emulator import Emulator
from mkw_airflow_provider.exceptions import (
    ApiError,
    BadRequestError,
    BuildCanceledError,
    BuildFailedError,
    BuildTimeoutError,
    NotFoundError,
)
from mkw_airflow_provider.operators.build import StartBuildOperator
from tests.airflow.conftest import AIRPLANE, Connect, Log
from tests.kit.tasks import context_of, deferral

WARNING = "No release given for release group 'DWH_GROUP', 'Default Release' is used."


def _start(**arguments: Any) -> StartBuildOperator:
    return StartBuildOperator(**{"task_id": "start", "project": "DEMO_PROJECT", "instances": [AIRPLANE], **arguments})


@pytest.fixture(autouse=True)
def _short_timeouts(connect: Connect) -> None:
    """Connect with short timeouts."""


class TestRequest:
    def test_every_argument_is_sent(self, emulator: Emulator) -> None:
        task = _start(
            project=None,
            project_id="402",
            instances=[AIRPLANE, {"id": "1002"}],
            releases={"DWH_GROUP": "R1"},
            description="nightly",
            restore="True",
        )
        task.execute(context_of(task))
        (post,) = emulator.requests("POST", "/api/v1/builds")
        description = post["body"].pop("description")
        assert post["body"] == {
            "project_id": 402,
            "instances": [AIRPLANE, {"id": 1002}],
            "releases": {"DWH_GROUP": "R1"},
            "restore": True,
        }
        assert "] nightly\nStarted by Airflow: DAG test_dag, task start, run scheduled__2026-11-22" in description

    def test_only_a_login_and_a_post_are_sent(self, emulator: Emulator) -> None:
        task = _start()
        task.execute(context_of(task))
        assert [(request["method"], request["path"]) for request in emulator.requests()] == [
            ("POST", "/authentication"),
            ("POST", "/api/v1/builds"),
        ]

    def test_project_defaults_to_the_connection(self, emulator: Emulator, connect: Connect) -> None:
        connect(project="SALES_DWH")
        task = _start(project=None)
        task.execute(context_of(task))
        assert [build["project"] for build in emulator.builds()] == ["SALES_DWH"]

    def test_missing_project_is_an_error(self, emulator: Emulator) -> None:
        task = _start(project=None)
        with pytest.raises(AirflowFailException, match="xactly one of `project` or `project_id` is needed; nothing is"):
            task.execute(context_of(task))
        assert emulator.requests("POST", "/api/v1/builds") == []

    def test_rendered_json_is_parsed(self, emulator: Emulator) -> None:
        task = _start(instances="{{ params.instances }}", releases="{{ params.releases }}")
        task.instances = json.dumps([AIRPLANE, {"id": 1002}])
        task.releases = json.dumps({"DWH_GROUP": "R1"})
        task.execute(context_of(task))
        (build,) = emulator.builds()
        assert build["instance_names"] == ["AIRPLANE", "AIRPORT"]
        assert build["releases"] == [21]


class TestResult:
    @pytest.mark.parametrize("deferrable", [False, True])
    @pytest.mark.parametrize("wait", [False, True])
    def test_every_mode_returns_the_build_id(self, emulator: Emulator, wait: bool, deferrable: bool) -> None:
        emulator.set(build_seconds=0)
        task = _start(wait_for_completion=wait, deferrable=deferrable)
        context = context_of(task)
        build_id = task.execute(context)
        assert build_id == emulator.builds()[0]["id"]
        assert type(build_id) is int
        assert context["ti"].xcom == {
            "build_id": build_id,
            "return_value": build_id,
            "warnings": [WARNING],
            "build_url": emulator.url,
        }

    def test_no_poll_without_a_wait(self, emulator: Emulator, log: Log) -> None:
        task = _start(deferrable=True)
        build_id = task.execute(context_of(task))
        assert emulator.requests("GET") == []
        assert log.lines[-1] == f"Build {build_id} is BUILDING; not waiting for it."

    @pytest.mark.parametrize("switches", [{}, {"full_create_response": True}], ids=["first poll", "response"])
    @pytest.mark.parametrize("limit", [0, 30])
    def test_lost_marker_is_a_warning(self, emulator: Emulator, log: Log, switches: dict[str, Any], limit: int) -> None:
        emulator.set(build_seconds=0, description_limit=limit, **switches)
        task = _start(wait_for_completion=not switches)
        task.execute(context_of(task))
        assert any("has lost its marker" in line for line in log.lines) == bool(limit)

    def test_operator_works_without_a_context(self, emulator: Emulator) -> None:
        assert _start().execute({}) == 5139
        assert emulator.builds()[0]["description"] is None

    def test_warnings_are_logged_and_pushed(self, log: Log) -> None:
        task = _start()
        context = context_of(task)
        task.execute(context)
        assert f"MetaKraftwerk warns: {WARNING}" in log.warnings
        assert context["ti"].xcom["warnings"] == [WARNING]

    def test_no_warnings_are_an_empty_list(self, log: Log) -> None:
        task = _start(releases={"DWH_GROUP": "R1"})
        context = context_of(task)
        task.execute(context)
        assert context["ti"].xcom["warnings"] == []
        assert [line for line in log.warnings if "warns" in line] == []

    def test_started_build_is_logged(self, log: Log) -> None:
        _start(instances=[AIRPLANE, {"id": 1002}]).execute({})
        assert "Started build 5139 in project DEMO_PROJECT (2 instances)." in log.lines


class TestBuildIdIsPushedBeforeTheWait:
    @pytest.mark.parametrize(("outcome", "kind"), [("FAILED", BuildFailedError), ("CANCELED", BuildCanceledError)])
    def test_if_the_build_fails(self, emulator: Emulator, outcome: str, kind: type[Exception]) -> None:
        emulator.set(build_seconds=0)
        emulator.set_instance(1001, outcome=outcome)
        task = _start(wait_for_completion=True)
        context = context_of(task)
        with pytest.raises(kind):
            task.execute(context)
        assert context["ti"].xcom["build_id"] == 5139

    def test_if_the_wait_times_out(self, emulator: Emulator) -> None:
        emulator.set(build_seconds=60)
        task = _start(wait_for_completion=True, poll_interval=0.05, timeout=0.1)
        context = context_of(task)
        with pytest.raises(BuildTimeoutError):
            task.execute(context)
        assert context["ti"].xcom["build_id"] == 5139

    def test_if_the_build_cannot_be_polled(self, emulator: Emulator) -> None:
        emulator.fault("status", status=403, method="GET", path="/api/v1/builds/*", times=None)
        task = _start(wait_for_completion=True, deferrable=True)
        context = context_of(task)
        with pytest.raises(AirflowFailException):
            task.execute(context)
        assert context["ti"].xcom["return_value"] == 5139

    def test_if_the_task_defers(self, emulator: Emulator) -> None:
        emulator.set(build_seconds=60)
        task = _start(wait_for_completion=True, deferrable=True)
        context = context_of(task)
        assert deferral(task, context).method_name == "execute_complete"
        assert context["ti"].xcom["return_value"] == 5139


REFUSALS: dict[str, tuple[dict[str, Any], type[ApiError], str]] = {
    "project": ({"project": "NO_SUCH"}, NotFoundError, "A project with the name 'NO_SUCH' does not exist!"),
    "project id": ({"project": None, "project_id": 7}, NotFoundError, "No record found for id '7'"),
    "instance": ({"instances": [{**AIRPLANE, "name": "ZEPPELIN"}]}, NotFoundError, "Instance not found"),
    "pattern": ({"instances": [{**AIRPLANE, "pattern": "NO_SUCH"}]}, NotFoundError, "Instance not found"),
    "deleted instance": ({"instances": [{**AIRPLANE, "name": "OLD_ROUTE"}]}, NotFoundError, "Instance not found"),
    "release group": (
        {"releases": {"NO_SUCH": "R1"}},
        NotFoundError,
        "A release group with the name 'NO_SUCH' does not exist!",
    ),
    "closed release": ({"releases": {"DWH_GROUP": "R0"}}, BadRequestError, "The release 'R0' is closed!"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refused_post_is_final(emulator: Emulator, name: str) -> None:
    arguments, kind, words = REFUSALS[name]
    task = _start(**arguments)
    context = context_of(task)
    with pytest.raises(AirflowFailException) as raised:
        task.execute(context)
    error = raised.value.__context__
    assert isinstance(error, kind)
    assert error.message == words
    assert f"POST /api/v1/builds returned {error.status}: {words}" in str(raised.value)
    assert str(raised.value).endswith("a retry would fail the same way.")
    assert len(emulator.requests("POST", "/api/v1/builds")) == 1
    assert context["ti"].xcom == {}


def test_missing_permission_is_an_error(emulator: Emulator, connect: Connect) -> None:
    viewer = emulator.connection_for("viewer@example.com")
    connect({name: viewer[name] for name in ("login", "password")})
    with pytest.raises(AirflowFailException, match="You don't have permissions to start builds in this project!"):
        _start().execute({})
    assert len(emulator.requests("POST", "/api/v1/builds")) == 1


def test_overloaded_server_is_retried(emulator: Emulator) -> None:
    """429 and 503 with ``Retry-After`` mean that nothing was done."""
    emulator.fault("status", status=503, headers={"Retry-After": "0"}, method="POST", path="/api/v1/builds")
    assert _start().execute({}) == 5139
    assert [request["status"] for request in emulator.requests("POST", "/api/v1/builds")] == [503, 201]


def test_kill_logs_that_the_build_is_running(log: Log) -> None:
    task = _start()
    task.on_kill()
    assert log.lines == []
    task.execute({})
    task.on_kill()
    assert log.warnings[-1] == "Killed. Build 5139 is still running, because the API cannot cancel builds."
