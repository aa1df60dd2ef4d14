"""Who may see the pages inside Airflow, and what they give away: on the API server itself."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from dev.stack.airflow import AirflowStack
from dev.stack.emulator import EmulatorProgram
from mkw_airflow_provider.version_compat import AIRFLOW_V_3_1_PLUS

if not AIRFLOW_V_3_1_PLUS:
    pytest.skip("Airflow before 3.1 has no place for the pages", allow_module_level=True)

from mkw_airflow_provider.plugin.feed import BURST, INTERVAL
from mkw_airflow_provider.plugin.headers import HEADERS

DAG_ID = "metakraftwerk_four_tasks"
EVIL = "<script>alert('build')</script>"
PAGE = "/builds/metakraftwerk_default"
#: The routes of a task and the others, by the permission that they need.
OF_TASK = ("/tab/{task}/%7BMAP_INDEX%7D", "/tab/{task}/-1/state")
OF_CONNECTION = ("/builds", PAGE, f"{PAGE}/state")
OF_ANYONE = ("/static/pages.js", "/static/pages.css")
ROUTES = (*OF_TASK, *OF_CONNECTION, *OF_ANYONE)

Ask = Callable[..., requests.Response]


@pytest.fixture(scope="module")
def run_id(airflow: AirflowStack, metakraftwerk_program: EmulatorProgram) -> str:
    """A run of the chain that has ended, and a build that a person started, whose message is HTML."""
    client, control = airflow.client, metakraftwerk_program.control
    control.reset()
    client.wait_for_dag(DAG_ID)
    run_id = client.trigger(DAG_ID)
    assert client.wait_for_run(DAG_ID, run_id) == "success"
    control.end_build(control.start_build(description=EVIL)["id"], "FAILED", EVIL)
    return run_id


@pytest.fixture(scope="module")
def ask(airflow: AirflowStack, run_id: str) -> Iterator[Ask]:
    """Get a route of the pages as a user; None: without a login. ``{task}`` is the wait of the chain."""
    passwords = json.loads((airflow.home / "passwords.json").read_text())
    with requests.Session() as session:
        session.trust_env = False

        def login(user: str) -> str:
            body = {"username": user, "password": passwords[user]}
            return str(session.post(f"{airflow.url}/auth/token", json=body, timeout=60).json()["access_token"])

        cookies = {user: {"_token": login(user)} for user in ("admin", "viewer", "outsider")}

        def get(user: str | None, route: str, task: str = "wait_for_build", method: str = "GET") -> requests.Response:
            path = route.replace("{task}", f"{DAG_ID}/{run_id}/{task}")
            response = requests.request(
                method,
                f"{airflow.url}/metakraftwerk{path}",
                cookies={} if user is None else cookies[user],
                timeout=60,
                allow_redirects=False,
                proxies={"http": ""},
            )
            for name, value in HEADERS.items():
                assert response.headers[name] == value, (route, name)
            return response

        yield get


class TestAccess:
    @pytest.mark.parametrize("route", ROUTES)
    def test_anonymous_is_401(self, ask: Ask, route: str) -> None:
        assert ask(None, route).status_code == 401

    @pytest.mark.parametrize("route", OF_TASK)
    def test_a_viewer_sees_the_build_of_a_task(self, ask: Ask, route: str) -> None:
        response = ask("viewer", route)
        assert response.status_code == 200
        assert "FINISHED" in response.text

    @pytest.mark.parametrize("route", OF_TASK)
    def test_a_viewer_without_the_dag_is_403(self, ask: Ask, route: str) -> None:
        response = ask("outsider", route)
        assert response.status_code == 403
        assert "Build" not in response.text

    @pytest.mark.parametrize("route", OF_CONNECTION)
    def test_a_viewer_without_connections_is_403(self, ask: Ask, route: str) -> None:
        assert ask("viewer", route).status_code == 403

    @pytest.mark.parametrize(
        "route",
        [
            "/tab/no_dag/no_run/no_task/-1",
            "/tab/{task}_not/-1",
            "/tab/{task}/7",
            "/tab/{task}/7/state",
            "/builds/no_connection",
            "/static/..%2fweb.py",
            "/openapi.json",
            "/docs",
        ],
    )
    def test_unknown_route_or_task_is_404(self, ask: Ask, route: str) -> None:
        assert ask("admin", route).status_code == 404

    @pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
    @pytest.mark.parametrize("route", ROUTES)
    def test_nothing_can_be_changed(self, ask: Ask, route: str, method: str) -> None:
        assert ask("admin", route, method=method).status_code == 405

    def test_the_menu_leads_to_the_first_connection(self, ask: Ask) -> None:
        response = ask("admin", "/builds")
        assert (response.status_code, response.headers["location"]) == (307, f"/metakraftwerk{PAGE}")


class TestContent:
    def test_no_response_has_a_credential(
        self, ask: Ask, metakraftwerk_program: EmulatorProgram, airflow: AirflowStack
    ) -> None:
        control = metakraftwerk_program.control
        secrets = [control.connection["password"], control.connection["login"]]
        secrets += [token["token"] for token in control.tokens()]
        assert len(secrets) > 2
        users: list[tuple[str, tuple[str, ...]]] = [("admin", ROUTES), ("viewer", ROUTES), ("outsider", ROUTES)]
        for user, routes in users:
            for route in routes:
                response = ask(user, route)
                shown = response.text + str(dict(response.headers))
                assert [secret for secret in secrets if secret in shown] == [], (user, route)

    def test_a_build_named_script_is_text(self, ask: Ask) -> None:
        page = ask("admin", PAGE).text
        assert "&lt;script&gt;alert(" in page
        assert EVIL not in page

    def test_the_page_names_the_owner_task(self, ask: Ask, run_id: str) -> None:
        page = ask("admin", PAGE).text
        assert f"{DAG_ID} · start_build" in page
        assert f"/dags/{DAG_ID}/runs/" in page

    def test_files_have_size_and_digest(self, ask: Ask, airflow: AirflowStack, run_id: str) -> None:
        (file,) = airflow.client.xcom(DAG_ID, run_id, "download_build")["files"]
        tab = ask("viewer", OF_TASK[0]).text
        assert file["name"] in tab
        assert file["sha256"] in tab
        assert "DEPLOY_TO_DEV" in tab

    @pytest.mark.parametrize("task", ["start_build", "download_build", "deploy_build"])
    def test_each_task_of_the_chain_has_the_build(self, ask: Ask, task: str) -> None:
        assert "FINISHED" in ask("viewer", OF_TASK[0], task=task).text


def test_many_browsers_cost_few_requests(ask: Ask, metakraftwerk_program: EmulatorProgram) -> None:
    control = metakraftwerk_program.control
    control.clear_requests()
    began = time.monotonic()

    def show() -> None:
        for route in (*OF_TASK, *OF_CONNECTION[1:]):
            assert ask("admin", route).status_code == 200

    browsers = [threading.Thread(target=show) for _ in range(8)]
    for browser in browsers:
        browser.start()
    for browser in browsers:
        browser.join()
    reads: list[dict[str, Any]] = [request for request in control.requests() if "authentication" not in request["path"]]
    assert len(reads) <= BURST + (time.monotonic() - began) / INTERVAL + 1
    # Each thing is read once for all of them.
    assert len(reads) < 8
