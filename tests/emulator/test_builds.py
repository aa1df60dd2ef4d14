from __future__ import annotations

import json
from urllib.parse import quote

import pytest

AIRPLANE = {"pattern": "CORE_DV_HLS", "folder": "/BUSINESS_VAULT", "name": "AIRPLANE"}
AIRPLANE_ID = 1001
OLD_ROUTE = AIRPLANE | {"name": "OLD_ROUTE"}
BROKEN_VIEW = AIRPLANE | {"name": "BROKEN_VIEW"}
R1 = {"DWH_GROUP": "R1"}


def test_wait_returns_the_documented_example(emulator, demo):
    emulator.set(build_seconds=0)
    response = demo.post(
        "/builds",
        {
            "project": "DEMO_PROJECT",
            "releases": R1,
            "instances": [AIRPLANE],
            "description": "build via rest api",
            "wait": True,
            "restore": True,
        },
    )
    build = response.json["build"]
    times = {name: build.pop(name) for name in ("build_start", "build_end", "created_at", "updated_at")}
    assert response.status == 201
    assert response.json["warnings"] == []
    assert times["build_start"] == times["created_at"]
    assert times["build_end"] == times["updated_at"]
    assert build.pop("mts") > 1_700_000_000_000
    name = build["downloads"][0].pop("name")
    assert name.startswith("CORE_DV_HLS_20")
    assert name.endswith(".zip")
    assert build == {
        "id": 5139,
        "customer_id": 1,
        "user_id": 1,
        "project_id": 402,
        "progress": 100,
        "status": "FINISHED",
        "message": "calculating deliveries ...",
        "history_commited": 1,
        "version": 1,
        "active": 1,
        "name": None,
        "deliveries_calculated": 1,
        "description": "build via rest api",
        "commit_ind": 0,
        "deleted": 0,
        "instances": 1,
        "patterns": [808],
        "releases": [21],
        "downloads": [{"id": 5442, "pattern": "CORE_DV_HLS", "pattern_id": 808, "file_id": None}],
    }


def test_create_returns_id_and_status(demo):
    response = demo.post("/builds", {"project_id": 402, "instances": [{"id": AIRPLANE_ID}], "releases": R1})
    assert (response.status, response.json) == (201, {"build": {"id": 5139, "status": "BUILDING"}, "warnings": []})


def test_wait_blocks_until_the_build_has_ended(emulator, demo):
    emulator.set(build_seconds=0.1)
    response = demo.post("/builds", {"project_id": 402, "instances": [AIRPLANE], "wait": True})
    assert response.json["build"]["status"] == "FINISHED"


def test_default_release_gives_a_warning(demo):
    response = demo.post("/builds", {"project": "DEMO_PROJECT", "instances": [AIRPLANE]})
    assert response.json["warnings"] == ["No release given for release group 'DWH_GROUP', 'Default Release' is used."]
    assert demo.get("/builds/5139").json["releases"] == [20]


def test_each_pattern_has_a_download(emulator, demo):
    emulator.set(build_seconds=0)
    staging = {"pattern": "STAGE_LOAD", "folder": "/STAGING", "name": "STG_AIRPLANE"}
    build = demo.build(AIRPLANE, staging, AIRPLANE)
    assert build["instances"] == 2
    assert build["patterns"] == [808, 810]
    assert [download["pattern"] for download in build["downloads"]] == ["CORE_DV_HLS", "STAGE_LOAD"]


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"instances": [AIRPLANE]}, 400, "A project id or name is required!"),
        (
            {"project": "DEMO_PROJECT", "project_id": 402, "instances": [AIRPLANE]},
            400,
            "Specify either a project id or a project name, not both!",
        ),
        ({"project": "DEMO_PROJECT"}, 400, "No instances specified!"),
        ({"project": "DEMO_PROJECT", "instances": []}, 400, "No instances specified!"),
        ({"project": "NOPE", "instances": [AIRPLANE]}, 404, "A project with the name 'NOPE' does not exist!"),
        ({"project_id": 9, "instances": [AIRPLANE]}, 404, "No record found for id '9'"),
        ({"project_id": 402, "instances": [{"id": 99}]}, 404, "Instance not found"),
        ({"project_id": 402, "instances": [AIRPLANE | {"folder": "/X"}]}, 404, "Instance not found"),
        ({"project_id": 403, "instances": [{"id": AIRPLANE_ID}]}, 404, "Instance not found"),
        ({"project_id": 402, "instances": [OLD_ROUTE]}, 404, "Instance not found"),
        (
            {"project_id": 402, "instances": [{"name": "AIRPLANE"}]},
            400,
            "An instance needs either an id or a pattern, a folder and a name!",
        ),
        (
            {"project_id": 402, "instances": [AIRPLANE | {"id": AIRPLANE_ID}]},
            400,
            "An instance needs either an id or a pattern, a folder and a name!",
        ),
        (
            {"project_id": 402, "instances": [AIRPLANE], "releases": {"DWH_GROUP": "R9"}},
            404,
            "A release with the name 'R9' does not exist!",
        ),
        (
            {"project_id": 402, "instances": [AIRPLANE], "releases": {"X": "R1"}},
            404,
            "A release group with the name 'X' does not exist!",
        ),
        (
            {"project_id": 402, "instances": [AIRPLANE], "releases": {"DWH_GROUP": "R0"}},
            400,
            "The release 'R0' is closed!",
        ),
        ({"project_id": "402", "instances": [AIRPLANE]}, 400, "'project_id': Input should be a valid integer"),
        ({"project_id": 402, "instances": [AIRPLANE], "wait": "yes"}, 400, "'wait': Input should be a valid boolean"),
        ({"project_id": 402, "instances": [AIRPLANE], "description": None}, 400, "'description' must not be null"),
        ({"project_id": 402, "instances": [AIRPLANE], "retry": True}, 400, "Unknown field 'retry'"),
        ([], 400, "The body must be a JSON object"),
    ],
)
def test_invalid_builds_are_refused(demo, emulator, body, status, message):
    response = demo.post("/builds", body)
    assert (response.status, response.message) == (status, message)
    assert emulator.builds() == []


def test_restore_recovers_deleted_instances(demo):
    assert demo.get("/instances?project_id=402&deleted=true").json[0]["name"] == "OLD_ROUTE"
    assert demo.build(OLD_ROUTE, restore=True)["instances"] == 1
    assert demo.get("/instances?project_id=402&deleted=true").json == []
    assert demo.build(OLD_ROUTE)["id"] == 5140


def test_failed_build_has_the_reason(emulator, demo):
    emulator.set(build_seconds=0)
    build = demo.build(AIRPLANE, BROKEN_VIEW)
    assert (build["status"], build["downloads"]) == ("FAILED", [])
    assert build["message"] == "Instance BROKEN_VIEW: source object SRC_BROKEN_VIEW does not exist"
    assert demo.get("/downloads").json == []


@pytest.mark.parametrize(("failed_wait", "status"), [("build", 201), ("error", 400)])
def test_failed_build_with_wait(emulator, demo, failed_wait, status):
    emulator.set(build_seconds=0, failed_wait=failed_wait)
    response = demo.post("/builds", {"project_id": 402, "instances": [BROKEN_VIEW], "wait": True})
    assert response.status == status
    build = response.json.get("build", response.json)
    assert build["message"] == "Instance BROKEN_VIEW: source object SRC_BROKEN_VIEW does not exist"


def test_list_returns_complete_builds(demo):
    build = demo.build(releases=R1)
    found = demo.get("/builds").json
    assert [one["id"] for one in found] == [5139]
    assert set(found[0]) == set(build)


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("", [5139, 5140, 5141]),
        ("project=DEMO_PROJECT", [5139, 5140]),
        ("project_id=403", [5141]),
        ("project_id=9", []),
        ("project=DEMO_PROJECT&project_id=403", []),
        ("user=demo", [5139, 5140, 5141]),
        ("user=viewer", []),
        ("user_id=1&project_id=402", [5139, 5140]),
        ("pattern=STAGE_LOAD", [5140]),
        ("pattern_id=808", [5139, 5141]),
        ("releases=" + quote(json.dumps(R1)), [5139]),
        ("releases[DWH_GROUP]=R1", [5139]),
        ("releases%5BDWH_GROUP%5D=Default%20Release", [5140, 5141]),
    ],
)
def test_builds_by_each_filter(demo, query, ids):
    demo.build(releases=R1)
    demo.build({"pattern": "STAGE_LOAD", "folder": "/STAGING", "name": "STG_AIRPLANE"})
    demo.build(project="SALES_DWH")
    assert [build["id"] for build in demo.get(f"/builds?{query}").json] == ids


@pytest.mark.parametrize(
    ("query", "status", "message"),
    [
        ("project=X", 404, "A project with the name 'X' does not exist!"),
        ("pattern=X", 404, "A pattern with the name 'X' does not exist!"),
        ("user=X", 404, "A user with the name 'X' does not exist!"),
        ("releases[X]=R1", 404, "A release group with the name 'X' does not exist!"),
        ("releases=R1", 400, "'releases' must be an object of release group names and release names"),
        ("releases=" + quote('{"A": "\\ud800"}'), 400, "'releases' must hold valid Unicode"),
        ("project_id=x", 400, "'project_id': Input should be a valid integer, unable to parse string as an integer"),
        ("status=BUILDING", 400, "Unknown query parameter 'status'"),
        ("project[x]=y", 400, "Unknown query parameter 'project[x]'"),
    ],
)
def test_invalid_filters_are_refused(demo, query, status, message):
    response = demo.get(f"/builds?{query}")
    assert (response.status, response.message) == (status, message)


def test_unknown_filters_may_give_an_empty_list(emulator, demo):
    demo.build()
    emulator.set(unknown_filter="empty")
    for query in ("pattern=X", "user=X", "releases[X]=R1"):
        assert demo.get(f"/builds?{query}").json == []
    assert demo.get("/builds?project=X").status == 404


def test_unknown_query_may_be_ignored(emulator, demo):
    emulator.set(unknown_query="ignore")
    assert demo.get("/builds?status=BUILDING").json == []


@pytest.mark.parametrize("record_id", ["99", "abc", "99999999999999999999", "-1"])
def test_missing_build_is_not_found(demo, record_id):
    response = demo.get(f"/builds/{record_id}")
    assert (response.status, response.message) == (404, f"No record found for id '{record_id}'")


@pytest.mark.parametrize("code", [405, 501])
@pytest.mark.parametrize("resource", ["builds", "build_deployments"])
@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_changes_are_not_implemented(emulator, demo, anonymous, method, resource, code):
    emulator.set(not_implemented_status=code)
    for path in (f"/{resource}", f"/{resource}/5139"):
        response = demo.call(method, f"/api/v1{path}", {})
        assert (response.status, response.message) == (code, "Not implemented")
        assert anonymous.call(method, f"/api/v1{path}", {}).status == 401
