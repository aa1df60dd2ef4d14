from __future__ import annotations

import pytest

from mkw_airflow_provider.emulator.state import builds

ROW = {"starts": 0, "ends": 1000, "outcome": "FINISHED", "progress": None}


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ("linear", [0, 25, 50, 75, 99, 100]),
        ("uneven", [0, 30, 30, 85, 97, 100]),
        ("stuck", [0, 25, 42, 42, 42, 100]),
        ("absent", [0, 25, 50, 75, 99, 100]),
    ],
)
def test_progress_over_time(shape, expected):
    moments = [0, 250, 500, 750, 999, 1000]
    assert [builds.progress(ROW, moment, shape) for moment in moments] == expected


@pytest.mark.parametrize("shape", ["linear", "uneven"])
def test_progress_rises_and_ends_at_100(shape):
    values = [builds.progress(ROW, moment, shape) for moment in range(1000)]
    assert values == sorted(values)
    assert max(values) < 100


def test_a_failed_build_stays_below_100():
    assert builds.progress(ROW | {"outcome": "FAILED"}, 5000, "linear") == 99


def test_status_follows_the_clock():
    assert [builds.status(ROW, moment) for moment in (1, 999, 1000, 5000)] == ["BUILDING"] * 2 + ["FINISHED"] * 2


def test_running_build_has_no_end(emulator, demo):
    emulator.set(build_seconds=1000)
    build = demo.build()
    assert (build["status"], build["build_end"], build["downloads"]) == ("BUILDING", None, [])
    assert (build["history_commited"], build["deliveries_calculated"]) == (0, 0)
    assert build["message"] == "building AIRPLANE (1 of 1) ..."
    assert build["progress"] in range(5)
    assert demo.get("/downloads").json == []


def test_absent_progress_is_no_field(emulator, demo):
    emulator.set(progress="absent")
    assert "progress" not in demo.build()


def test_slowest_instance_decides_the_duration(emulator, demo):
    emulator.set_instance(1001, build_seconds=500)
    emulator.set_instance(1002, build_seconds=3)
    demo.build({"id": 1001}, {"id": 1002})
    demo.build({"id": 1002})
    emulator.set_instance(1002, build_seconds=None)
    demo.build({"id": 1002})
    assert [build["seconds"] for build in emulator.builds()] == [500, 3, 0.2]


def test_instance_decides_the_outcome(emulator, demo):
    emulator.set(build_seconds=0)
    emulator.set_instance(1001, outcome="CANCELED")
    build = demo.build({"id": 1001})
    assert (build["status"], build["message"]) == ("CANCELED", "Build canceled by user demo")


def test_build_finishes_with_the_clock(emulator, demo):
    emulator.set(build_seconds=0.05)
    build = demo.ended(demo.build()["id"])
    assert (build["status"], build["progress"], len(build["downloads"])) == ("FINISHED", 100, 1)


def test_waiting_request_sees_a_deleted_build(emulator, demo):
    emulator.set(build_seconds=1000)
    connection = demo.connect()
    body = b'{"project_id": 402, "instances": [{"id": 1001}], "wait": true}'
    headers = {"Authorization": f"Bearer {demo.token}", "Content-Type": "application/json"}
    connection.request("POST", "/api/v1/builds", body, headers)
    while not emulator.builds():
        pass
    emulator.delete_build(5139)
    response = connection.getresponse()
    assert (response.status, b"No record found for id '5139'" in response.read()) == (404, True)
    connection.close()


def test_waiting_request_sees_an_ended_build(emulator, demo):
    emulator.set(build_seconds=1000)
    connection = demo.connect()
    body = b'{"project_id": 402, "instances": [{"id": 1001}], "wait": true}'
    headers = {"Authorization": f"Bearer {demo.token}", "Content-Type": "application/json"}
    connection.request("POST", "/api/v1/builds", body, headers)
    while not emulator.builds():
        pass
    ended = emulator.end_build(5139, status="FAILED", message="disk full")
    assert (ended["status"], ended["message"]) == ("FAILED", "disk full")
    response = connection.getresponse().read()
    connection.close()
    assert b'"status":"FAILED"' in response
    assert b'"message":"disk full"' in response
