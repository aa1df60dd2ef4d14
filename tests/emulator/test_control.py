from __future__ import annotations

import json
import logging

import pytest

from mkw_airflow_provider.emulator import Control, ControlError, Emulator
from mkw_airflow_provider.emulator.state.users import USERS

BUILD = {"project": "DEMO_PROJECT", "instances": [{"id": 1001}]}


def test_control_works_from_another_process(emulator, demo):
    control = Control(emulator.url)
    assert isinstance(emulator, Control)
    assert (control.url, control.port, control.connection) == (emulator.url, emulator.port, emulator.connection)
    control.set(build_seconds=0)
    demo.post("/builds", BUILD)
    assert control.builds() == emulator.builds()


def test_connection_is_what_airflow_reads(emulator):
    assert emulator.connection == {
        "conn_type": "metakraftwerk",
        "host": "127.0.0.1",
        "port": emulator.port,
        "schema": "http",
        "login": "demo@example.com",
        "password": "demo-password",
    }
    assert json.loads(emulator.connection_json) == emulator.connection


@pytest.mark.parametrize("user", USERS, ids=lambda user: user.name)
def test_each_seeded_user_can_log_in(emulator, anonymous, user):
    connection = emulator.connection_for(user.email)
    token = anonymous.log_in(connection["login"], connection["password"]).token
    assert [row["user_id"] for row in emulator.tokens() if row["token"] == token] == [user.id]


def test_no_connection_for_unknown_users(emulator):
    with pytest.raises(ValueError, match=r"demo@example.com, viewer@example.com, outsider@example.com"):
        emulator.connection_for("x@example.com")


def test_log_has_request_and_status(emulator, demo):
    emulator.clear_requests()
    demo.post("/builds?x=1&x=2&releases[A]=B", BUILD, headers={"User-Agent": "me"})
    (entry,) = emulator.requests()
    assert entry["method"] == "POST"
    assert entry["path"] == "/api/v1/builds"
    assert entry["query"] == [["x", "1"], ["x", "2"], ["releases[A]", "B"]]
    assert entry["body"] == BUILD
    assert (entry["authorized"], entry["user_id"], entry["status"], entry["fault"]) == (True, 1, 400, None)
    assert entry["headers"]["user-agent"] == "me"
    assert "authorization" not in entry["headers"]


def test_log_can_be_filtered_and_cleared(emulator, demo, anonymous):
    demo.get("/builds/1")
    demo.get("/builds")
    anonymous.get("/builds")
    assert [entry["path"] for entry in emulator.requests(method="POST")] == ["/authentication"]
    assert [entry["status"] for entry in emulator.requests(path="/api/v1/builds/*")] == [404]
    assert [entry["authorized"] for entry in emulator.requests(path="/api/v1/builds")] == [True, False]
    emulator.clear_requests()
    assert emulator.requests() == []


def test_paths_are_logged_unchanged(emulator, demo):
    demo.get("/builds/%2e%2e%2Fx")
    assert emulator.requests()[-1]["path"] == "/api/v1/builds/%2e%2e%2Fx"


def test_no_secret_in_the_request_log(emulator, demo, anonymous):
    anonymous.call("POST", "/authentication", {"password": {"password": "hunter2"}, "x": [{"token": "hunter2"}]})
    anonymous.call("POST", "/authentication", b'{"password": "hunter2"')
    anonymous.get("/builds?access_token=hunter2")
    anonymous.get("/builds", headers={"Cookie": "hunter2"}, token="hunter2")
    text = json.dumps(emulator.requests())
    assert "hunter2" not in text
    assert demo.token not in text
    assert emulator.requests()[0]["body"]["password"] == "***"


@pytest.mark.parametrize(
    "body", [b"[" * 100_000, b'{"a": NaN}', b'"\\ud800"', b"\xff\xfe", b'{"a":' * 900 + b"1" + b"}" * 900]
)
def test_odd_bodies_are_refused_and_logged(emulator, demo, body):
    assert demo.post("/builds", body).status == 400
    assert len(emulator.requests(method="POST", path="/api/v1/builds")) == 1


def test_reset_restores_seed_and_switches(emulator, demo):
    emulator.set(progress="stuck")
    emulator.fault("reset", times=None)
    emulator.start_build()
    emulator.reset()
    assert (emulator.builds(), emulator.requests(), emulator.faults(), emulator.tokens()) == ([], [], [], [])
    assert (emulator.switches()["progress"], emulator.switches()["build_seconds"]) == ("linear", 0.2)
    assert emulator.start_build()["id"] == 5139


def test_reset_keeps_tokens_valid(emulator, demo):
    emulator.reset()
    emulator.fault("status", method="POST", status=502)
    assert demo.get("/builds").status == 200
    assert demo.post("/builds", BUILD).status == 502


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Host": "evil.example"},
        {"Host": "127.0.0.1.evil.example:80"},
        {"Host": "[evil"},
    ],
)
@pytest.mark.parametrize(("method", "path"), [("GET", "/tokens"), ("POST", "/reset"), ("PATCH", "/switches")])
def test_control_plane_refuses_web_pages(emulator, anonymous, demo, headers, method, path):
    emulator.start_build()
    response = anonymous.call(method, f"/_emulator{path}", b"{}", {"Content-Type": "text/plain"} | headers)
    assert response.status == 403
    assert response.message.startswith("The control plane ")
    assert demo.token.encode() not in response.body
    assert len(emulator.builds()) == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST."])
def test_control_plane_serves_this_machine(emulator, anonymous, host):
    own = f"{host}:{emulator.port}"
    headers = {"Host": own, "Origin": f"http://{own}", "Sec-Fetch-Site": "same-origin"}
    assert anonymous.call("GET", "/_emulator/health", headers=headers).status == 200


def test_user_starts_a_build(emulator, demo):
    build = emulator.start_build(project="SALES_DWH", instances=["AIRPORT", 2001], user="viewer")
    assert (build["project"], build["user"], build["instance_names"]) == (
        "SALES_DWH",
        "viewer",
        ["AIRPORT", "AIRPLANE"],
    )
    assert demo.get("/builds?user=viewer").json[0]["description"] is None


@pytest.mark.parametrize(
    ("order", "message"),
    [
        ({"project": "X"}, "'X' is not in projects: DEMO_PROJECT, SALES_DWH, FINANCE_DWH, HR_DWH"),
        ({"instances": ["X"]}, "No instance 'X' in project DEMO_PROJECT"),
        ({"user": "X"}, "'X' is not in users: demo, viewer, outsider"),
    ],
)
def test_invalid_manual_builds(emulator, order, message):
    with pytest.raises(ControlError, match=message):
        emulator.start_build(**order)


@pytest.mark.parametrize(
    ("status", "message"),
    [
        ("FINISHED", "calculating deliveries ..."),
        ("FAILED", "Build failed"),
        ("CANCELED", "Build canceled by user demo"),
    ],
)
def test_user_ends_a_build(emulator, demo, status, message):
    emulator.set(build_seconds=1000)
    build = demo.build()
    emulator.end_build(build["id"], status=status)
    ended = demo.get("/builds/5139").json
    assert (ended["status"], ended["message"]) == (status, message)
    assert (ended["progress"] == 100, len(ended["downloads"])) == ((True, 1) if status == "FINISHED" else (False, 0))
    with pytest.raises(ControlError, match=f"Build 5139 has already ended: {status}"):
        emulator.end_build(5139)


def test_deleting_a_build_deletes_its_rows(emulator, demo, finished):
    demo.post("/build_deployments", {"build_id": 5139, "pattern_id": 808, "deployment_id": 1})
    emulator.delete_build(5139)
    assert demo.get("/builds/5139").status == 404
    assert (emulator.builds(), emulator.downloads(), emulator.build_deployments()) == ([], [], [])
    assert emulator.start_build()["id"] == 5140


def test_instance_is_set_by_name(emulator):
    assert emulator.set_instance("AIRPLANE", project="DEMO_PROJECT", outcome="FAILED")["id"] == 1001
    with pytest.raises(ControlError, match="is in several projects"):
        emulator.set_instance("AIRPLANE", outcome="FAILED")
    with pytest.raises(ControlError, match="No instance 'AIRPLAN' in project DEMO_PROJECT"):
        emulator.set_instance("AIRPLAN", project="DEMO_PROJECT", outcome="FAILED")


@pytest.mark.parametrize(
    "order",
    [
        lambda emulator: emulator.end_build(1),
        lambda emulator: emulator.delete_build(1),
        lambda emulator: emulator.set_download(1, size=1),
        lambda emulator: emulator.set_instance(1, outcome="FAILED"),
        lambda emulator: emulator.set_instance(1001, outcome="BROKEN"),
        lambda emulator: emulator.set_download(1, color="red"),
        lambda emulator: emulator.set_user("x@example.com", password="x"),
        lambda emulator: emulator.set_user("demo@example.com", name="x"),
    ],
)
def test_invalid_control_calls_are_refused(emulator, order):
    with pytest.raises(
        ControlError,
        match=r"No row 1 in|No instance '1' in project|Input should be|Unknown field|Unknown user|Field required",
    ):
        order(emulator)


def test_only_client_connections_are_counted(emulator, demo):
    before = emulator.connections()
    connection = demo.connect()
    for _ in range(3):
        connection.request("GET", "/api/v1/builds", headers={"Authorization": f"Bearer {demo.token}"})
        connection.getresponse().read()
    now = emulator.connections()
    assert (now["accepted"] - before["accepted"], now["open"] - before["open"]) == (1, 1)
    connection.close()
    for _ in range(1000):
        if emulator.connections()["open"] == before["open"]:
            break
    assert emulator.connections() == {"accepted": before["accepted"] + 1, "open": before["open"]}


def test_log_lines_have_no_secrets(caplog, client):
    with caplog.at_level(logging.INFO, "mkw_airflow_provider.emulator"), Emulator(log_requests=True) as emulator:
        emulator.fault("status", skip=1, method="GET", status=503)
        demo = client(emulator.url).log_in("demo@example.com")
        demo.get("/projects?access_token=secret")
        demo.get("/projects")
        emulator.health()
    lines = [record.getMessage().split(" in ")[0] for record in caplog.records]
    assert lines == ["POST /authentication -> 201", "GET /api/v1/projects -> 400", "GET /api/v1/projects -> 503"]
    assert caplog.records[-1].getMessage().endswith("fault=status")
    assert not any(secret in caplog.text for secret in ("demo-password", "secret", demo.token))
