"""``/builds``: every filter and every field of a body as it arrives, and how responses are read."""

from __future__ import annotations

from dataclasses import fields

import pendulum
import pytest

from mkw_airflow_provider.client.api.builds import Build, BuildStatus, create_build, find_builds, get_build
from mkw_airflow_provider.client.api.downloads import Download
from mkw_airflow_provider.exceptions import BadRequestError

AIRPLANE = {"pattern": "CORE_DV_HLS", "folder": "/BUSINESS_VAULT", "name": "AIRPLANE"}


@pytest.fixture
def four_builds(metakraftwerk, api):
    """5139 is of demo, 5140 of another project, 5141 of another user and pattern, 5142 of another release."""
    metakraftwerk.start_build()
    metakraftwerk.start_build(project="SALES_DWH")
    metakraftwerk.start_build(user="viewer", instances=["STG_AIRPLANE"])
    api.call(create_build(project_id=405, instances=[{"id": 4001}], releases={"DWH_GROUP": "R1"}))


@pytest.mark.parametrize(
    ("filters", "query", "ids"),
    [
        ({}, [], [5139, 5140, 5141, 5142]),
        ({"project": "SALES_DWH"}, [["project", "SALES_DWH"]], [5140]),
        ({"project_id": 402}, [["project_id", "402"]], [5139, 5141]),
        ({"user": "viewer"}, [["user", "viewer"]], [5141]),
        ({"user_id": 1}, [["user_id", "1"]], [5139, 5140, 5142]),
        ({"pattern": "STAGE_LOAD"}, [["pattern", "STAGE_LOAD"]], [5141]),
        ({"pattern_id": 808}, [["pattern_id", "808"]], [5139, 5140, 5142]),
        ({"releases": {"DWH_GROUP": "R1"}}, [["releases", '{"DWH_GROUP":"R1"}']], [5142]),
        (
            {"project_id": 402, "user_id": 2, "pattern_id": 810, "releases": {"DWH_GROUP": "Default Release"}},
            [
                ["project_id", "402"],
                ["user_id", "2"],
                ["pattern_id", "810"],
                ["releases", '{"DWH_GROUP":"Default Release"}'],
            ],
            [5141],
        ),
    ],
)
def test_find_narrows_by_each_filter(metakraftwerk, api, four_builds, filters, query, ids):
    assert [build.id for build in api.call(find_builds(**filters))] == ids
    request = metakraftwerk.requests("GET")[-1]
    assert (request["path"], request["query"], request["body"]) == ("/api/v1/builds", query, None)


def test_rendered_filters_are_sent_as_values(metakraftwerk, api):
    metakraftwerk.start_build()
    found = api.call(find_builds(project_id="402", releases='{"DWH_GROUP": "Default Release"}'))
    assert [build.id for build in found] == [5139]
    query = metakraftwerk.requests("GET")[-1]["query"]
    assert query == [["project_id", "402"], ["releases", '{"DWH_GROUP":"Default Release"}']]


def test_get_reads_every_documented_field(metakraftwerk, api):
    metakraftwerk.set(build_seconds=0)
    metakraftwerk.start_build(description="by hand")
    build = api.call(get_build(5139))
    raw = dict(build.raw)
    assert set(raw) == {field.name for field in fields(Build)} - {"raw"}
    (there,) = metakraftwerk.builds()
    assert {name: there[name] for name in raw} == raw
    for name in ("build_start", "build_end", "created_at", "updated_at"):
        assert getattr(build, name) == pendulum.parse(raw.pop(name))
        assert getattr(build, name).timezone_name == "UTC"
    for name in ("patterns", "releases"):
        assert getattr(build, name) == tuple(raw.pop(name))
    assert build.downloads == (
        Download(id=5442, pattern="CORE_DV_HLS", pattern_id=808, file_id=None, name=raw.pop("downloads")[0]["name"]),
    )
    assert {name: getattr(build, name) for name in raw} == raw
    assert (build.id, build.status, build.progress, build.description) == (5139, "FINISHED", 100, "by hand")


def test_get_reads_a_running_build(metakraftwerk, api):
    metakraftwerk.set(build_seconds=1000)
    metakraftwerk.start_build()
    build = api.call(get_build("5139"))
    assert (build.status, build.has_ended, build.progress, build.build_end, build.downloads) == (
        BuildStatus.BUILDING,
        False,
        0,
        None,
        (),
    )
    assert metakraftwerk.requests("GET")[-1]["path"] == "/api/v1/builds/5139"


@pytest.mark.parametrize("status", ["FINISHED", "FAILED", "CANCELED"])
def test_get_reads_each_ending(metakraftwerk, api, status):
    metakraftwerk.set(build_seconds=1000)
    metakraftwerk.start_build()
    metakraftwerk.end_build(5139, status, "so it ended")
    build = api.call(get_build(5139))
    assert (build.status, build.has_ended, build.message) == (BuildStatus(status), True, "so it ended")


@pytest.mark.parametrize(
    ("arguments", "body"),
    [
        (
            {"project": "DEMO_PROJECT", "instances": [{"id": 1001}]},
            {"project": "DEMO_PROJECT", "instances": [{"id": 1001}]},
        ),
        (
            {"project_id": 402, "instances": [AIRPLANE, {"id": 1002}]},
            {"project_id": 402, "instances": [AIRPLANE, {"id": 1002}]},
        ),
        (
            {"project_id": "402", "instances": '[{"id": "1001"}]', "releases": '{"DWH_GROUP": "R1"}', "wait": "False"},
            {"project_id": 402, "instances": [{"id": 1001}], "releases": {"DWH_GROUP": "R1"}},
        ),
        (
            {
                "project": "DEMO_PROJECT",
                "instances": [AIRPLANE],
                "releases": {"DWH_GROUP": "R1"},
                "description": "Größe: 5 µm\n„so“",
                "wait": True,
                "restore": True,
            },
            {
                "project": "DEMO_PROJECT",
                "instances": [AIRPLANE],
                "releases": {"DWH_GROUP": "R1"},
                "description": "Größe: 5 µm\n„so“",
                "wait": True,
                "restore": True,
            },
        ),
    ],
)
def test_create_sends_only_given_arguments(metakraftwerk, api, arguments, body):
    created = api.call(create_build(**arguments))
    (request,) = metakraftwerk.requests("POST", "/api/*")
    assert (request["path"], request["query"], request["body"]) == ("/api/v1/builds", [], body)
    (there,) = metakraftwerk.builds()
    assert created.build.id == there["id"] == 5139
    assert there["project_id"] == 402
    assert there["description"] == body.get("description")
    assert there["releases"] == ([21] if "releases" in body else [20])
    assert (there["wait"], there["restore"]) == (body.get("wait", False), body.get("restore", False))


def test_create_returns_id_status_and_warnings(metakraftwerk, api):
    metakraftwerk.set(build_seconds=1000)
    created = api.call(create_build(project_id=402, instances=[{"id": 1001}]))
    assert created.build == Build(id=5139, status=BuildStatus.BUILDING)
    assert created.warnings == ["No release given for release group 'DWH_GROUP', 'Default Release' is used."]


def test_create_with_wait_returns_the_ended_build(metakraftwerk, api):
    metakraftwerk.set(build_seconds=0.05)
    created = api.call(create_build(project_id=402, instances=[{"id": 1001}], wait=True, releases={"DWH_GROUP": "R1"}))
    assert created.warnings == []
    assert created.build.status == BuildStatus.FINISHED
    assert [download.pattern for download in created.build.downloads] == ["CORE_DV_HLS"]
    assert created.build == api.call(get_build(5139))


@pytest.mark.parametrize("outcome", ["FAILED", "CANCELED"])
def test_create_with_wait_returns_a_failed_build(metakraftwerk, api, outcome):
    metakraftwerk.set(build_seconds=0)
    metakraftwerk.set_instance(1001, outcome=outcome)
    created = api.call(create_build(project_id=402, instances=[{"id": 1001}], wait=True))
    assert (created.build.id, created.build.status) == (5139, outcome)


def test_create_with_wait_may_get_an_error(metakraftwerk, api):
    """The response for a failed build is not documented."""
    metakraftwerk.set(build_seconds=0, failed_wait="error")
    with pytest.raises(BadRequestError) as caught:
        api.call(create_build(project_id=402, instances=[AIRPLANE | {"name": "BROKEN_VIEW"}], wait=True))
    assert caught.value.message == "Instance BROKEN_VIEW: source object SRC_BROKEN_VIEW does not exist"


def test_restore_builds_a_deleted_instance(metakraftwerk, api):
    created = api.call(create_build(project_id=402, instances=[AIRPLANE | {"name": "OLD_ROUTE"}], restore=True))
    assert metakraftwerk.builds()[0]["instance_names"] == ["OLD_ROUTE"]
    assert created.build.id == 5139
