"""The link to MetaKraftwerk: pushed before any waiting, and the same in the log."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from mkw_airflow_provider.emulator import Emulator
from mkw_airflow_provider.links import BUILD_URL, MetaKraftwerkLink
from mkw_airflow_provider.operators.build import DownloadBuildOperator, StartBuildOperator
from mkw_airflow_provider.operators.deployment import BuildDeploymentOperator
from mkw_airflow_provider.plugin import MetaKraftwerkPlugin
from mkw_airflow_provider.sensors.build import BuildSensor
from mkw_airflow_provider.version_compat import AIRFLOW_V_3_0_PLUS
from tests.airflow.conftest import AIRPLANE, Connect, Log
from tests.kit import imports
from tests.kit.tasks import AirflowRescheduleException, context_of, deferral

LINK = "https://mkw.example.com/#/{project_id}/{build_id}"
BUILD = 5139
CREATED = {"build": {"id": BUILD, "status": "BUILDING"}, "warnings": []}


def _start(**arguments: Any) -> StartBuildOperator:
    return StartBuildOperator(task_id="start", project="DEMO_PROJECT", instances=[AIRPLANE], **arguments)


def _of(context: dict[str, Any]) -> Any:
    return context["ti"].xcom[BUILD_URL]


@pytest.mark.parametrize("kind", [StartBuildOperator, DownloadBuildOperator, BuildDeploymentOperator, BuildSensor])
def test_each_operator_has_the_link(kind: Any) -> None:
    assert [(link.name, link.xcom_key) for link in kind.operator_extra_links] == [("MetaKraftwerk", BUILD_URL)]


class TestPushedAddress:
    def test_start_pushes_it_before_the_wait(self, emulator: Emulator, connect: Connect, log: Log) -> None:
        emulator.set(build_seconds=60)
        connect(build_link=LINK)
        task = _start(wait_for_completion=True, deferrable=True)
        context = context_of(task)
        deferral(task, context)
        assert _of(context) == f"https://mkw.example.com/#/402/{BUILD}"
        assert log.lines.count(f"Build {BUILD} in MetaKraftwerk: https://mkw.example.com/#/402/{BUILD}") == 1

    def test_project_read_later_completes_it(self, emulator: Emulator, connect: Connect) -> None:
        connect(build_link=LINK)
        emulator.set(build_seconds=60)
        emulator.start_build()
        emulator.fault("status", status=201, body=CREATED, method="POST", path="/api/v1/builds")
        task = _start(wait_for_completion=True, deferrable=True)
        context = context_of(task)
        deferral(task, context)
        assert _of(context) == f"https://mkw.example.com/#/402/{BUILD}"

    def test_sensor_pushes_it_before_it_defers(self, emulator: Emulator, connect: Connect, log: Log) -> None:
        emulator.set(build_seconds=60)
        emulator.start_build()
        task = BuildSensor(task_id="wait", build_id=BUILD, deferrable=True)
        context = context_of(task)
        deferral(task, context)
        assert _of(context) == emulator.url
        assert f"Build {BUILD} in MetaKraftwerk: {emulator.url}" in log.lines

    @pytest.mark.skipif(not AIRFLOW_V_3_0_PLUS, reason="Airflow 2 asks its database when the wait began")
    def test_each_rescheduled_poll_pushes_it(self, emulator: Emulator, connect: Connect) -> None:
        emulator.set(build_seconds=60)
        emulator.start_build()
        task = BuildSensor(task_id="wait", build_id=BUILD, mode="reschedule", poke_interval=60, timeout=600)
        context = context_of(task)
        with pytest.raises(AirflowRescheduleException):
            task.execute(context)
        assert _of(context) == emulator.url

    def test_deployment_that_fails_has_pushed_it(self, emulator: Emulator, connect: Connect) -> None:
        task = BuildDeploymentOperator(task_id="deploy", build_id=1, pattern="X", deployment="D")
        context = context_of(task)
        with pytest.raises(AirflowFailException):
            task.execute(context)
        assert _of(context) == emulator.url

    def test_deployment_names_it_for_its_outcome(self, emulator: Emulator, connect: Connect, log: Log) -> None:
        connect(build_link="https://mkw.example.com/{build_id}")
        emulator.set(build_seconds=0)
        emulator.start_build()
        task = BuildDeploymentOperator(
            task_id="deploy", build_id=BUILD, pattern="CORE_DV_HLS", deployment="DEPLOY_TO_DEV"
        )
        task.execute(context_of(task))
        assert log.lines[-1].endswith(f"does not report its outcome; check https://mkw.example.com/{BUILD}.")


def test_no_url_means_no_button() -> None:
    """Outside a task and without a database, an XCom cannot be read."""
    assert MetaKraftwerkLink().get_link(None, ti_key=None) == ""


def test_loading_the_plugin_loads_no_page() -> None:
    loaded = imports.loaded(["mkw_airflow_provider.plugin"], after="import airflow.plugins_manager")
    heavy = ("fastapi", "jinja2", "requests", "mkw_airflow_provider.client", "mkw_airflow_provider.operators")
    assert {name for name in loaded for part in heavy if name == part or name.startswith(f"{part}.")} == set()


def test_pages_can_be_turned_off(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [view["name"] for view in MetaKraftwerkPlugin().external_views] == ["MetaKraftwerk builds", "Build"]
    monkeypatch.setenv("AIRFLOW__METAKRAFTWERK__PAGES", "False")
    off = MetaKraftwerkPlugin()
    assert (off.external_views, off.fastapi_apps) == ([], [])
    assert [link.name for link in off.operator_extra_links] == ["MetaKraftwerk"]
