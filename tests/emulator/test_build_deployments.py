from __future__ import annotations

import pytest

DEPLOYMENT = {"build_id": 5139, "pattern": "CORE_DV_HLS", "deployment": "DEPLOY_TO_DEV"}
DOCUMENTED = {
    "id": 1,
    "build_id": 5139,
    "pattern_id": 808,
    "deployment_id": 1,
    "upload_id": 1359,
    "agent_id": None,
    "agent_group_id": None,
}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, {}),
        ({"agent": "dev_md_agent"}, {"agent_id": 1}),
        ({"agent_id": 1}, {"agent_id": 1}),
        ({"agent_group": "DEV_AGENTS"}, {"agent_group_id": 1}),
        ({"agent_group_id": 1}, {"agent_group_id": 1}),
        ({"pattern": None, "pattern_id": 808, "deployment": None, "deployment_id": 2}, {"deployment_id": 2}),
    ],
)
def test_deployment_has_the_documented_fields(demo, finished, change, expected):
    body = {name: value for name, value in (DEPLOYMENT | change).items() if value is not None}
    response = demo.post("/build_deployments", body)
    assert (response.status, response.json) == (201, DOCUMENTED | expected)
    assert demo.get("/build_deployments/1").json == DOCUMENTED | expected
    assert demo.get("/build_deployments?build_id=5139").json == [DOCUMENTED | expected]


@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        ({"build_id": None}, 400, "A build_id is required!"),
        ({"pattern": None}, 400, "A pattern id or name is required!"),
        ({"pattern_id": 808}, 400, "Specify either a pattern id or a pattern name, not both!"),
        ({"deployment": None}, 400, "A deployment id or name is required!"),
        ({"deployment_id": 1}, 400, "Specify either a deployment id or a deployment name, not both!"),
        ({"agent": "a", "agent_id": 1}, 400, "Specify either an agent or an agent group, by id or by name!"),
        ({"agent": "a", "agent_group": "b"}, 400, "Specify either an agent or an agent group, by id or by name!"),
        ({"agent_id": 1, "agent_group_id": 1}, 400, "Specify either an agent or an agent group, by id or by name!"),
        ({"build_id": 1}, 404, "Build not found"),
        ({"pattern": "X"}, 404, "A pattern with the name 'X' does not exist!"),
        ({"deployment": "X"}, 404, "A deployment with the name 'X' does not exist!"),
        ({"deployment": None, "deployment_id": 99}, 404, "No record found for id '99'"),
        ({"deployment": None, "deployment_id": 4}, 404, "No record found for id '4'"),
        ({"agent": "X"}, 404, "An agent with the name 'X' does not exist!"),
        ({"agent_id": 9}, 404, "No record found for id '9'"),
        ({"agent_group": "X"}, 404, "An agent group with the name 'X' does not exist!"),
        ({"agent_group_id": 9}, 404, "No record found for id '9'"),
        ({"pattern": "STAGE_LOAD"}, 400, "The build has no results for the pattern 'STAGE_LOAD'!"),
        ({"agent_id": "1"}, 400, "'agent_id': Input should be a valid integer"),
        ({"when": "now"}, 400, "Unknown field 'when'"),
    ],
)
def test_invalid_deployments_are_refused(emulator, demo, finished, change, status, message):
    body = {name: value for name, value in (DEPLOYMENT | change).items() if value is not None}
    response = demo.post("/build_deployments", body)
    assert (response.status, response.message) == (status, message)
    assert emulator.build_deployments() == []


@pytest.mark.parametrize(("switch", "status"), [("reject", 400), ("accept", 201)])
def test_deploying_an_unfinished_build(emulator, demo, switch, status):
    emulator.set(build_seconds=1000, deploy_unfinished_build=switch)
    demo.build()
    response = demo.post("/build_deployments", DEPLOYMENT)
    assert response.status == status
    if status == 400:
        assert response.message == "The build is not finished!"


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("", [1, 2]),
        ("build_id=5139", [1, 2]),
        ("build_id=1", []),
        ("pattern=CORE_DV_HLS", [1, 2]),
        ("pattern_id=809", []),
        ("deployment=DEPLOY_TO_TEST", [2]),
        ("deployment_id=1", [1]),
        ("deployment=DEPLOY_TO_DEV&deployment_id=2", []),
    ],
)
def test_find_by_each_filter(demo, finished, query, ids):
    demo.post("/build_deployments", DEPLOYMENT)
    demo.post("/build_deployments", DEPLOYMENT | {"deployment": "DEPLOY_TO_TEST"})
    assert [row["id"] for row in demo.get(f"/build_deployments?{query}").json] == ids


def test_filters_with_unknown_names(emulator, demo):
    response = demo.get("/build_deployments?deployment=X")
    assert (response.status, response.message) == (404, "A deployment with the name 'X' does not exist!")
    emulator.set(unknown_filter="empty")
    assert demo.get("/build_deployments?deployment=X").json == []


def test_missing_deployment_is_not_found(demo):
    response = demo.get("/build_deployments/7")
    assert (response.status, response.message) == (404, "No record found for id '7'")


@pytest.mark.parametrize(
    ("outcome", "message"),
    [("FINISHED", None), ("FAILED", "Deployment failed: ENOENT: no such file or directory")],
)
@pytest.mark.parametrize("waits", [True, False])
def test_status_and_message_of_a_deployment(emulator, demo, finished, outcome, message, waits):
    emulator.set(deployment_status="present", deployment_outcome=outcome, deployment_waits=waits)
    assert demo.post("/build_deployments", DEPLOYMENT).json == DOCUMENTED | {"status": outcome, "message": message}


def test_running_deployment_is_deploying(emulator, demo, finished):
    emulator.set(deployment_status="present", deployment_seconds=1000)
    assert demo.post("/build_deployments", DEPLOYMENT).json["status"] == "DEPLOYING"
    emulator.set(deployment_seconds=0.02, deployment_waits=True)
    assert demo.post("/build_deployments", DEPLOYMENT).json["status"] == "FINISHED"


def test_automatic_deployment_after_the_build(emulator, demo):
    emulator.set(build_seconds=1000, automatic_deployments=True)
    demo.build()
    assert demo.get("/build_deployments").json == []
    assert demo.get("/build_deployments/1").status == 404
    emulator.end_build(5139, status="FINISHED")
    assert demo.get("/build_deployments").json == [DOCUMENTED]
    (row,) = emulator.build_deployments()
    assert (row["automatic"], row["status"], row["user_id"]) == (True, "FINISHED", 1)


def test_no_automatic_deployment_after_failure(emulator, demo):
    emulator.set(build_seconds=1000, automatic_deployments=True)
    demo.build()
    emulator.end_build(5139, status="FAILED")
    assert demo.get("/build_deployments").json == []
