"""Each fault as a client receives it."""

from __future__ import annotations

import http.client
import json
import socket
import time
from typing import Any

import pytest

from mkw_airflow_provider.emulator import ControlError

BUILDS = "/api/v1/builds"
BUILD = {"project_id": 402, "instances": [{"id": 1001}]}


def statuses(api, count, path="/builds"):
    return [api.get(path).status for _ in range(count)]


def last(emulator) -> dict[str, Any]:
    """The newest entry of the log, once its response has ended."""
    for _ in range(500):
        entry: dict[str, Any] = emulator.requests()[-1]
        if entry["seconds"] is not None:
            return entry
        time.sleep(0.01)
    raise AssertionError("The request is still running")


def receive(api, method="GET", path=BUILDS, body=b"") -> tuple[bytes, bool]:
    """What a plain socket receives until the end, and whether that was a reset."""
    with socket.create_connection((api.connect().host, api.connect().port), timeout=10) as client:
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {api.token}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        client.sendall(head.encode() + body)
        received = b""
        try:
            while piece := client.recv(65536):
                received += piece
        except ConnectionResetError:
            return received, True
        return received, False


def test_status_replaces_one_response(emulator, demo):
    emulator.fault("status", status=502)
    response = demo.get("/builds")
    assert (response.status, response.json) == (
        502,
        {"name": "BadGateway", "message": "Bad Gateway", "code": 502, "className": "bad-gateway"},
    )
    assert (last(emulator)["status"], last(emulator)["fault"]) == (502, "status")
    assert demo.get("/builds").status == 200


def test_status_with_headers_and_body(emulator, demo):
    emulator.fault("status", status=503, headers={"Retry-After": "7"}, body="<h1>busy</h1>", content_type="text/html")
    response = demo.get("/builds")
    assert (response.status, response.body, response.headers["retry-after"]) == (503, b"<h1>busy</h1>", "7")
    assert response.headers["content-type"].startswith("text/html")
    emulator.fault("status", status=200, body={"hello": 1})
    assert demo.get("/builds").json == {"hello": 1}
    emulator.fault("status", status=204)
    assert (demo.get("/builds").status, last(emulator)["status"]) == (204, 204)


@pytest.mark.parametrize(("arguments", "status"), [({}, 502), ({"status": 404}, 404)])
def test_gateway_sends_its_own_page(emulator, demo, arguments, status):
    emulator.fault("gateway", **arguments)
    response = demo.get("/builds")
    assert (response.status, response.headers["content-type"]) == (status, "text/html; charset=utf-8")
    assert response.body.startswith(b"<html>")


@pytest.mark.parametrize(("work", "count"), [(False, 0), (True, 1)])
@pytest.mark.parametrize("action", ["status", "reset", "close"])
def test_work_is_done_or_not_before_the_loss(emulator, demo, action, work, count):
    arguments = {"status": 504} if action == "status" else {}
    emulator.fault(action, method="POST", path=BUILDS, work=work, **arguments)
    body = json.dumps(BUILD).encode()
    if action == "status":
        assert demo.post("/builds", BUILD).status == 504
    else:
        assert receive(demo, "POST", BUILDS, body) == (b"", action == "reset")
    assert len(emulator.builds()) == count
    assert last(emulator)["body"] == BUILD


def test_response_is_lost_during_the_work(emulator, demo):
    emulator.set(build_seconds=1000)
    emulator.fault("status", method="POST", status=504, work=True, after=0.05)
    assert demo.post("/builds", BUILD | {"wait": True}).status == 504
    assert [build["status"] for build in emulator.builds()] == ["BUILDING"]


def test_reset_is_a_tcp_reset(emulator, demo):
    emulator.fault("reset")
    assert receive(demo) == (b"", True)
    assert (last(emulator)["status"], last(emulator)["fault"]) == (None, "reset")


def test_close_is_not_a_reset(emulator, demo):
    emulator.fault("close")
    assert receive(demo) == (b"", False)
    assert last(emulator)["status"] is None


def test_delay_changes_only_the_time(emulator, demo):
    emulator.fault("delay", delay=0.05)
    assert demo.get("/builds").json == []
    assert last(emulator)["seconds"] >= 0.05


def test_truncated_response_is_too_short(emulator, demo):
    whole = demo.get("/projects").body
    emulator.fault("truncate", fraction=0.25)
    received, reset = receive(demo, path="/api/v1/projects")
    head, _, body = received.partition(b"\r\n\r\n")
    assert f"content-length: {len(whole)}".encode() in head.lower()
    assert (body, reset) == (whole[: len(whole) // 4], False)
    emulator.fault("truncate", path="/api/v1/projects")
    with pytest.raises(http.client.IncompleteRead):
        demo.get("/projects")


def test_truncated_download_of_many_chunks(emulator, demo, finished):
    emulator.set_download(5442, size=4_000_000)
    emulator.fault("truncate", path="/api/v1/downloads/*", fraction=0.5)
    with pytest.raises(http.client.IncompleteRead) as caught:
        demo.get("/downloads/5442")
    assert len(caught.value.partial) == 2_000_000


def test_truncated_chunked_download(emulator, demo, finished):
    emulator.set(content_length=False)
    emulator.fault("truncate", path="/api/v1/downloads/*")
    received, reset = receive(demo, path="/api/v1/downloads/5442")
    assert b"transfer-encoding: chunked" in received.lower()
    assert not received.endswith(b"0\r\n\r\n")
    assert reset is False


def test_trickle_sends_small_chunks(emulator, demo):
    whole = demo.get("/projects").body
    emulator.fault("trickle", bytes_per_second=2000)
    connection = demo.connect()
    connection.request("GET", "/api/v1/projects", headers={"Authorization": f"Bearer {demo.token}"})
    response = connection.getresponse()
    chunks = []
    while piece := response.read1(65536):
        chunks.append(piece)
    connection.close()
    assert b"".join(chunks) == whole
    assert max(map(len, chunks)) <= 400
    assert len(chunks) > 1


def test_endless_lasts_until_the_disconnect(emulator, demo):
    emulator.fault("endless")
    connection = demo.connect()
    connection.request("GET", BUILDS, headers={"Authorization": f"Bearer {demo.token}"})
    response = connection.getresponse()
    assert (response.status, len(response.read(5_000_000))) == (200, 5_000_000)
    response.close()
    connection.close()
    assert (last(emulator)["status"], last(emulator)["fault"]) == (200, "endless")
    assert demo.get("/builds").json == []


def test_nested_json_is_as_deep_as_requested(emulator, demo):
    emulator.fault("nested", depth=200_000)
    body = demo.get("/builds").body
    assert body == b"[" * 200_000 + b"]" * 200_000


def test_redirect_may_lead_anywhere(emulator, demo):
    emulator.fault("redirect", location="http://elsewhere.example.com/x", status=307)
    response = demo.get("/builds")
    assert (response.status, response.headers["location"]) == (307, "http://elsewhere.example.com/x")


def test_expired_is_a_401(emulator, demo):
    emulator.set(expired_message="jwt expired")
    emulator.fault("expired")
    response = demo.get("/builds")
    assert (response.status, response.message) == (401, "jwt expired")
    assert demo.get("/builds").status == 200


def test_a_login_can_fail_too(emulator, anonymous):
    emulator.fault("status", path="/authentication", status=500)
    assert anonymous.call("POST", "/authentication", {}).status == 500


def test_only_matching_requests_count(emulator, demo):
    emulator.fault("status", method="GET", path="/api/v1/b*", skip=1, times=2, status=500)
    assert statuses(demo, 1, "/projects") == [200]
    assert statuses(demo, 5) == [200, 500, 500, 200, 200]
    (fault,) = emulator.faults()
    assert (fault["matched"], fault["hits"]) == (5, 2)


def test_times_none_has_no_limit(emulator, demo):
    emulator.fault("status", times=None, status=500)
    assert statuses(demo, 5) == [500] * 5


def test_seconds_start_at_the_first_hit(emulator, demo):
    emulator.fault("status", seconds=1000, status=500)
    assert statuses(demo, 3) == [500] * 3
    emulator.clear_faults()
    emulator.fault("status", seconds=0, status=500)
    assert statuses(demo, 3) == [500, 200, 200]


def test_first_matching_fault_wins(emulator, demo):
    emulator.fault("status", path=BUILDS, status=500)
    emulator.fault("status", path="/api/*", times=2, status=502)
    assert statuses(demo, 4) == [500, 502, 502, 200]


def test_faults_can_be_cleared(emulator, demo):
    emulator.fault("status", times=None, status=500)
    emulator.clear_faults()
    assert (emulator.faults(), demo.get("/builds").status) == ([], 200)


def test_one_fault_can_be_removed(emulator, demo):
    first, second = (emulator.fault("status", times=None, status=status) for status in (500, 502))
    assert statuses(demo, 1) == [500]
    assert emulator.remove_fault(first["id"])["hits"] == 1
    assert statuses(demo, 1) == [502]
    assert [fault["id"] for fault in emulator.faults()] == [second["id"]]


def test_the_control_plane_has_no_faults(emulator):
    emulator.fault("reset", times=None)
    assert emulator.health()["status"] == "up"


@pytest.mark.parametrize(
    ("action", "arguments", "part"),
    [
        ("explode", {}, "'status', 'gateway', 'reset', 'close', 'delay', 'truncate', 'trickle'"),
        ("status", {}, "action.status.status"),
        ("delay", {"seconds": 2}, "action.delay.delay"),
        ("status", {"status": 500, "colour": "red"}, "Unknown field 'action.status.colour'"),
        ("truncate", {"fraction": 1}, "less than 1"),
    ],
)
def test_invalid_faults_are_refused(emulator, action, arguments, part):
    with pytest.raises(ControlError) as caught:
        emulator.fault(action, **arguments)
    assert part in str(caught.value)
    assert emulator.faults() == []
