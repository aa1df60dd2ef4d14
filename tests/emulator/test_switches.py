from __future__ import annotations

import re

import pytest

from mkw_airflow_provider.emulator import ControlError, Emulator
from mkw_airflow_provider.emulator.state.switches import Switches, describe, parse


@pytest.mark.parametrize(
    ("shape", "kind", "body"),
    [
        (
            "feathers5",
            "application/json",
            b'{"name":"NotFound","message":"No record found for id \'9\'","code":404,"className":"not-found"}',
        ),
        (
            "feathers4",
            "application/json",
            b'"className":"not-found","errors":{}}',
        ),
        ("text", "text/plain", b"No record found for id '9'"),
        ("html", "text/html", b"<h1>No record found for id &#x27;9&#x27;</h1>"),
    ],
)
def test_error_bodies(emulator, demo, shape, kind, body):
    emulator.set(error_body=shape)
    response = demo.get("/builds/9")
    assert response.status == 404
    assert response.headers["content-type"].startswith(kind)
    assert body in response.body


@pytest.mark.parametrize("status", [200, 201])
def test_create_status(emulator, demo, status):
    emulator.set(create_status=status, build_seconds=0)
    body = {"project_id": 402, "instances": [{"id": 1001}]}
    assert demo.post("/builds", body).status == status
    deployment = {"build_id": 5139, "pattern_id": 808, "deployment_id": 1}
    assert demo.post("/build_deployments", deployment).status == status


def test_full_create_response(emulator, demo):
    emulator.set(full_create_response=True)
    created = demo.post("/builds", {"project_id": 402, "instances": [{"id": 1001}]}).json["build"]
    assert set(created) == set(demo.get("/builds/5139").json)


@pytest.mark.parametrize(
    ("flags", "build", "project"),
    [("documented", 1, False), ("integer", 1, 0), ("boolean", True, False)],
)
def test_flags_are_integers_or_booleans(emulator, demo, finished, flags, build, project):
    emulator.set(flags=flags)
    active = demo.get("/builds/5139").json["active"]
    deleted = demo.get("/projects/402").json["deleted"]
    assert (active, type(active)) == (build, type(build))
    assert (deleted, type(deleted)) == (project, type(project))


def test_nulls_are_sent_or_omitted(emulator, demo, finished):
    assert demo.get("/builds/5139").json["name"] is None
    emulator.set(nulls="missing")
    build = demo.get("/builds/5139").json
    assert "name" not in build
    assert "file_id" not in build["downloads"][0]


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({}, 201),
        ({"errors": 1}, 400),
        ({"invalid": True}, 400),
        ({"build_disabled": True}, 400),
        ({"folder": "/A/B"}, 400),
    ],
)
def test_unbuildable_instances(emulator, demo, fields, status):
    emulator.add_folder("/A", pattern="CORE_DV_HLS", build_disabled=True)
    instance = emulator.add_instance("X", pattern="CORE_DV_HLS", **{"folder": "/B", **fields})
    body = {"project_id": 402, "instances": [{"id": instance}]}
    assert demo.post("/builds", body).status == 201
    emulator.set(unbuildable_instances="reject")
    response = demo.post("/builds", body)
    assert response.status == status
    if status == 400:
        assert response.message == "The instance 'X' cannot be built!"


def test_closed_releases_may_be_accepted(emulator, demo):
    emulator.set(closed_release="accept")
    assert demo.build(releases={"DWH_GROUP": "R0"})["releases"] == [19]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"color": "red"}, r"Unknown switch 'color'. Switches: build_seconds, progress, .*odd_values"),
        ({"progress": "fast"}, r"'fast' is not a value of switch 'progress'. Allowed: linear, uneven, stuck, absent"),
        ({"create_status": 202}, r"Allowed: 201, 200"),
        ({"create_status": "201"}, r"Allowed: 201, 200"),
        ({"ranges": 1}, r"Allowed: true, false"),
        ({"build_seconds": -1}, r"Allowed: a number, 0 or more"),
        ({"build_seconds": "3"}, r"Allowed: a number, 0 or more"),
        ({"build_seconds": True}, r"Allowed: a number, 0 or more"),
        ({"list_limit": 1.5}, r"Allowed: an integer, 0 or more"),
        ({"build_seconds": float("nan")}, r"Allowed: a number, 0 or more"),
        ({"download_redirect": "ftp://x"}, r"Allowed: off, same, or the URL of a host"),
    ],
)
def test_invalid_switches_list_what_is_allowed(emulator, values, message):
    before = emulator.switches()
    with pytest.raises(ControlError, match=message):
        emulator.set(**({"token_seconds": 1} | values))
    assert emulator.switches() == before
    with pytest.raises(ValueError, match=message):
        Emulator(**values)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("build_seconds", "0.5", 0.5),
        ("create_status", "200", 200),
        ("ranges", "off", False),
        ("list_limit", "3", 3),
        ("clock_skew_seconds", "-5", -5.0),
        ("ranges", "TRUE", True),
        ("error_body", "html", "html"),
        ("download_redirect", "https://files.example.com", "https://files.example.com"),
    ],
)
def test_switches_on_a_command_line(name, text, value):
    assert parse(name, text) == value
    assert type(parse(name, text)) is type(value)


@pytest.mark.parametrize(
    ("name", "text"),
    [("ranges", "maybe"), ("list_limit", "-1"), ("list_limit", "1.5"), ("create_status", "x"), ("nope", "1")],
)
def test_invalid_switches_on_a_command_line(name, text):
    with pytest.raises(ValueError, match=r"Allowed|Switches"):
        parse(name, text)


def test_each_switch_has_meaning_and_reason():
    assert [name for name, *_ in describe()] == Switches.names()
    for _, default, allowed, what, why in describe():
        assert default
        assert allowed
        assert re.fullmatch(r"[A-Z].*\.", what)
        assert re.fullmatch(r"[A-Z0-9].*\.", why)


def test_each_switch_is_used(pytestconfig):
    package = pytestconfig.rootpath / "mkw_airflow_provider" / "emulator"
    sources = "".join(path.read_text("utf-8") for path in package.rglob("*.py") if path.name != "switches.py")
    assert [name for name in Switches.names() if not re.search(rf"switches\.{name}\b", sources)] == []
