"""Switches for what a real server may do to a client that must not build twice."""

from __future__ import annotations

import email.utils
import math
import time

import pytest

from tests.emulator.conftest import Api

BUILD = {"project_id": 402, "instances": [{"id": 1001}]}
LOGIN = {"strategy": "local", "email": "demo@example.com", "password": "demo-password"}


def log_in(api: Api, **change: str) -> tuple[int, str | None]:
    response = api.call("POST", "/authentication", LOGIN | change)
    return response.status, response.json.get("message")


def test_descriptions_are_cut(emulator, demo):
    emulator.set(description_limit=5)
    assert demo.build(description="0123456789")["description"] == "01234"
    assert demo.build()["description"] is None


def test_lists_are_limited_to_oldest_rows(emulator, demo):
    emulator.set(list_limit=2)
    for _ in range(3):
        demo.build()
    assert [build["id"] for build in demo.get("/builds").json] == [5139, 5140]
    assert len(demo.get("/patterns").json) == 2
    assert demo.get("/builds/5141").status == 200


def test_lists_are_delayed(emulator, demo, finished):
    demo.post("/build_deployments", {"build_id": 5139, "pattern_id": 808, "deployment_id": 1})
    emulator.set(list_delay_seconds=1000)
    assert (demo.get("/builds").json, demo.get("/build_deployments").json) == ([], [])
    assert (demo.get("/builds/5139").status, demo.get("/build_deployments/1").status) == (200, 200)
    emulator.set(list_delay_seconds=0)
    assert len(demo.get("/builds").json) == 1


def test_new_rows_are_not_found_at_first(emulator, demo, finished):
    demo.post("/build_deployments", {"build_id": 5139, "pattern_id": 808, "deployment_id": 1})
    emulator.set(read_delay_seconds=1000)
    response = demo.get("/builds/5139")
    assert (response.status, response.message) == (404, "No record found for id '5139'")
    assert demo.get("/build_deployments/1").status == 404
    assert len(demo.get("/builds").json) == 1


def test_signed_addresses_expire(emulator, demo, anonymous, finished):
    emulator.set(download_redirect="same", download_url_seconds=1000)
    location = demo.get("/downloads/5442").headers["location"]
    assert anonymous.call("GET", location).body[:2] == b"PK"
    for wrong in (location + "0", location.partition("?")[0]):
        assert anonymous.call("GET", wrong).status == 403
    emulator.set(download_url_seconds=0.001)
    location = demo.get("/downloads/5442").headers["location"]
    while (expired := anonymous.call("GET", location)).status == 200:
        pass
    assert (expired.status, b"expired" in expired.body) == (403, True)


def test_all_logins_are_refused(emulator, anonymous):
    emulator.set(login_refused=True)
    assert log_in(anonymous) == (401, "Invalid login")
    emulator.set(login_refused=False)
    assert log_in(anonymous) == (201, None)


def test_refused_logins_lock_an_account(emulator, anonymous):
    emulator.set(login_lockout_after=2)
    wrong = {"password": "wrong"}
    assert [log_in(anonymous, **wrong)[0], log_in(anonymous)[0], log_in(anonymous, **wrong)[0]] == [401, 201, 401]
    assert log_in(anonymous, **wrong) == (401, "Invalid login")
    assert log_in(anonymous) == (401, "Account is locked")
    assert log_in(anonymous, email="viewer@example.com", password="viewer-password")[0] == 201
    emulator.reset()
    assert log_in(anonymous)[0] == 201


def test_a_lockout_ends(emulator, anonymous):
    emulator.set(login_lockout_after=1, login_lockout_seconds=0)
    assert [log_in(anonymous, password="wrong")[0], log_in(anonymous)[0]] == [401, 201]


def test_a_password_is_rotated_and_tokens_stay(emulator, demo, anonymous):
    emulator.set_user("demo@example.com", password="new-password")
    assert (log_in(anonymous)[0], log_in(anonymous, password="new-password")[0]) == (401, 201)
    assert demo.get("/projects").status == 200
    emulator.reset()
    assert log_in(anonymous)[0] == 201


@pytest.mark.parametrize(
    ("kind", "by_agent", "by_group"),
    [
        ("requested", {"agent_id": 1, "agent_group_id": None}, {"agent_id": None, "agent_group_id": 1}),
        ("assigned", {"agent_id": 1, "agent_group_id": None}, {"agent_id": 1, "agent_group_id": None}),
        ("null", {"agent_id": None, "agent_group_id": None}, {"agent_id": None, "agent_group_id": None}),
        ("missing", {}, {}),
    ],
)
def test_agents_of_deployments(emulator, demo, finished, kind, by_agent, by_group):
    emulator.set(deployment_agents=kind)
    deployment = {"build_id": 5139, "pattern_id": 808, "deployment_id": 1}
    demo.post("/build_deployments", deployment | {"agent_id": 1})
    demo.post("/build_deployments", deployment | {"agent_group_id": 1})
    rows = [
        {name: row[name] for name in row if name.startswith("agent")} for row in demo.get("/build_deployments").json
    ]
    assert rows == [by_agent, by_group]


@pytest.mark.parametrize(("switch", "build_skew", "date_skew"), [("clock", -180, 0), ("date", 0, 600)])
def test_clocks_of_build_and_header_differ(emulator, demo, switch, build_skew, date_skew):
    emulator.set(**{f"{switch}_skew_seconds": build_skew or date_skew})
    build = demo.build()
    date = email.utils.parsedate_to_datetime(demo.get("/builds").headers["date"]).timestamp()
    assert math.isclose(build["mts"] / 1000 - time.time(), build_skew, abs_tol=60)
    assert math.isclose(date - time.time(), date_skew, abs_tol=60)


def test_each_response_has_one_date(demo):
    connection = demo.connect()
    connection.request("GET", "/api/v1/builds")
    response = connection.getresponse()
    response.read()
    connection.close()
    assert len(response.headers.get_all("date")) == 1


@pytest.mark.parametrize(
    ("kind", "part"),
    [
        ("off", b'"message":"calculating deliveries ..."'),
        ("surrogates", b'"message":"cut \\ud83d"'),
        ("nul", b"before\\u0000after"),
        ("nan", b'"progress":NaN'),
        ("huge_integers", b'"version":18446744073709551616'),
        ("nested", b'{"inner":' * 500),
        ("line_breaks", b"ERROR - forged log line"),
        ("large_message", b"x" * 10_000_000),
        ("all", b"-Infinity"),
    ],
)
def test_odd_values_in_builds(emulator, demo, finished, kind, part):
    emulator.set(odd_values=kind)
    assert part in demo.get("/builds/5139").body
    assert part in demo.get("/builds").body
    assert emulator.builds()[0]["message"] == "calculating deliveries ..."
