"""What a person does in Airflow's pages, from the connection to the approval of a deployment.

The tests build on each other: the first makes the connection, and later tests use the runs of earlier ones.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from dev.stack.airflow import AirflowStack
from dev.stack.emulator import EmulatorProgram

NIGHTLY, PROMOTION = "metakraftwerk_four_tasks", "metakraftwerk_promotion"
APPROVAL = "release.approve_DEPLOY_TO_PROD"
Picture = Callable[..., None]


def _until(condition: Callable[[], Any], seconds: float = 150.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "This never happened."
        time.sleep(0.5)
    return found


def _texts(locator: Any) -> list[str]:
    """Return the texts of all elements; none while the page is being replaced."""
    with contextlib.suppress(Exception):
        return list(locator.all_inner_texts())
    return []


def _task(dag_id: str, run_id: str, task_id: str) -> str:
    return f"dags/{dag_id}/runs/{quote(run_id, safe='')}/tasks/{task_id}"


@pytest.fixture(scope="module")
def nightly(airflow: AirflowStack) -> Callable[[], str]:
    """The newest run of the nightly chain."""
    return lambda: str(airflow.client.runs(NIGHTLY)[-1]["dag_run_id"])


def test_fill_the_connection_form_and_press_test(
    page: Any, picture: Picture, metakraftwerk_program: EmulatorProgram
) -> None:
    server = metakraftwerk_program.control.connection
    page.set_viewport_size({"width": 1280, "height": 1700})
    page.goto("connections")
    page.get_by_role("button", name="Add Connection").click()
    form = page.get_by_role("dialog")
    form.locator("input[name=connection_id]").fill("metakraftwerk_default")
    form.get_by_role("combobox").first.fill("MetaKraft")
    page.keyboard.press("Enter")
    for name in ("host", "login", "password", "port", "schema"):
        form.locator(f"input[name={name}]").fill(str(server[name]))
    picture("connection-standard", form)
    form.get_by_text("Extra Fields", exact=True).click()
    form.get_by_text("Build link (default: the server's address)").wait_for()
    page.wait_for_timeout(1000)
    picture("connection-extra", form)
    form.get_by_role("button", name="Save").click()
    form.wait_for(state="hidden")
    page.set_viewport_size({"width": 1000, "height": 520})
    page.get_by_role("button", name="Test Connection").click()
    result = page.get_by_text("Logged in at")
    result.wait_for()
    assert "as demo@example.com (user 1); 4 projects are visible: DEMO_PROJECT" in result.inner_text()
    picture("connection-test", page)


def test_trigger_the_chain_and_watch_the_bar_move(
    page: Any, picture: Picture, airflow: AirflowStack, nightly: Callable[[], str]
) -> None:
    airflow.client.wait_for_dag(NIGHTLY)
    page.goto(f"dags/{NIGHTLY}")
    page.get_by_role("button", name="Trigger").first.click()
    page.get_by_role("dialog").get_by_role("button", name="Trigger").click()
    _until(lambda: airflow.client.runs(NIGHTLY))
    run_id = nightly()
    _until(lambda: airflow.client.task_instance(NIGHTLY, run_id, "wait_for_build")["state"] == "deferred")
    page.goto(f"{_task(NIGHTLY, run_id, 'wait_for_build')}/plugin/metakraftwerk-build")
    bar = page.frame_locator("iframe").locator("#state > div > p.bar progress")
    bar.wait_for()
    first = float(bar.get_attribute("value"))
    _until(lambda: float(bar.get_attribute("value")) > first, 40)
    page.frame_locator("iframe").get_by_text("median of 7 builds").wait_for()
    picture("build-tab", page)


def test_the_tab_follows_the_theme(page: Any, nightly: Callable[[], str]) -> None:
    page.goto(f"{_task(NIGHTLY, nightly(), 'start_build')}/plugin/metakraftwerk-build")
    frame = page.frame_locator("iframe")
    frame.locator("html.light").wait_for(state="attached")
    page.evaluate("document.documentElement.classList.replace('light', 'dark')")
    frame.locator("html.dark").wait_for(state="attached")
    assert frame.locator("body").evaluate("body => getComputedStyle(body).backgroundColor") == "rgb(24, 30, 44)"


def test_follow_the_links(page: Any, nightly: Callable[[], str], metakraftwerk_program: EmulatorProgram) -> None:
    page.goto(f"{_task(NIGHTLY, nightly(), 'wait_for_build')}/details")
    button = page.get_by_role("link", name="MetaKraftwerk", exact=True)
    button.wait_for()
    assert button.get_attribute("href").rstrip("/") == metakraftwerk_program.url
    page.goto(f"{_task(NIGHTLY, nightly(), 'wait_for_build')}/plugin/metakraftwerk-build")
    with page.expect_popup() as popup:
        page.frame_locator("iframe").get_by_role("link", name="Open in MetaKraftwerk").click()
    assert popup.value.url.startswith(metakraftwerk_program.url)


def test_filter_the_page_with_two_running_builds(
    page: Any, picture: Picture, metakraftwerk_program: EmulatorProgram
) -> None:
    control = metakraftwerk_program.control
    control.set(build_seconds=90)
    builds = [control.start_build(instances=[name])["id"] for name in ("AIRPORT", "FLIGHT")]
    page.goto("plugin/metakraftwerk-builds")
    frame = page.frame_locator("iframe")
    cards = frame.locator(".card h3")
    _until(lambda: {f"Build {number}" for number in builds} <= set(_texts(cards)), 40)
    assert frame.locator("svg rect").count() >= 7
    picture("builds-page", page)
    frame.get_by_label("Status").select_option("FINISHED")
    pills = frame.locator("td .pill")
    _until(lambda: set(_texts(pills)) == {"FINISHED"}, 40)
    frame.get_by_label("Status").select_option("any")
    _until(lambda: "BUILDING" in _texts(pills), 40)
    frame.get_by_label("Started by").select_option(f"DAG {NIGHTLY}")
    owners = frame.locator("tbody tr td:nth-child(3)")
    _until(lambda: set(_texts(owners)) == {f"{NIGHTLY} · start_build"}, 40)
    frame.get_by_role("link", name=f"{NIGHTLY} · start_build").first.click()
    page.wait_for_url("**/tasks/start_build")
    for number in builds:
        control.end_build(number, "FINISHED")
    control.set(build_seconds=5)


def test_approve_a_promotion(
    page: Any, picture: Picture, airflow: AirflowStack, metakraftwerk_program: EmulatorProgram
) -> None:
    client = airflow.client
    client.wait_for_dag(PROMOTION)
    run_id = client.trigger(PROMOTION)
    _until(lambda: client.task_instance(PROMOTION, run_id, APPROVAL)["state"] in ("awaiting_input", "deferred"))
    page.goto(f"{_task(PROMOTION, run_id, APPROVAL)}/required_actions")
    approve = page.get_by_role("button", name="Approve")
    approve.wait_for()
    picture("approval", page)
    approve.click()
    assert client.wait_for_run(PROMOTION, run_id) == "success"
    deployed = {(row["build_id"], row["pattern_id"]) for row in metakraftwerk_program.control.build_deployments()}
    assert (client.xcom(PROMOTION, run_id, "release.start"), 808) in deployed


def test_pictures_of_the_finished_run(
    page: Any, picture: Picture, airflow: AirflowStack, nightly: Callable[[], str]
) -> None:
    assert airflow.client.wait_for_run(NIGHTLY, nightly()) == "success"
    page.set_viewport_size({"width": 1280, "height": 620})
    page.goto(f"dags/{NIGHTLY}/runs/{quote(nightly(), safe='')}")
    page.get_by_text("wait_for_build").first.wait_for()
    page.wait_for_timeout(2000)
    picture("nightly-run", page)
    page.goto(_task(NIGHTLY, nightly(), "wait_for_build"))
    page.get_by_text("ended FINISHED after").wait_for()
    picture("wait-log", page)
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto(f"{_task(NIGHTLY, nightly(), 'deploy_build')}/plugin/metakraftwerk-build")
    frame = page.frame_locator("iframe")
    frame.get_by_text("DEPLOY_TO_DEV").wait_for()
    picture("build-tab-finished", page)
