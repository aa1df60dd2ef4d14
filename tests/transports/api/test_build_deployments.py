"""``/build_deployments``: every filter and every field of a body as it arrives, and how responses are read."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mkw_airflow_provider.client.api.build_deployments import (
    BuildDeployment,
    create_build_deployment,
    find_build_deployments,
    get_build_deployment,
)

PATH = "/api/v1/build_deployments"


@pytest.fixture
def finished(metakraftwerk):
    """5139 is a finished build of the patterns 808 and 810, 5140 one of 808."""
    metakraftwerk.set(build_seconds=0)
    metakraftwerk.start_build(instances=["AIRPLANE", "STG_AIRPLANE"])
    metakraftwerk.start_build()


@pytest.fixture
def four_deployments(api, finished):
    """1 to 4: two of pattern 808, one of pattern 810, one of the other build."""
    for build_id, pattern_id, deployment_id in [(5139, 808, 1), (5139, 808, 2), (5139, 810, 7), (5140, 808, 1)]:
        api.call(create_build_deployment(build_id=build_id, pattern_id=pattern_id, deployment_id=deployment_id))


@pytest.mark.parametrize(
    ("filters", "query", "ids"),
    [
        ({}, [], [1, 2, 3, 4]),
        ({"build_id": 5140}, [["build_id", "5140"]], [4]),
        ({"pattern": "STAGE_LOAD"}, [["pattern", "STAGE_LOAD"]], [3]),
        ({"pattern_id": 808}, [["pattern_id", "808"]], [1, 2, 4]),
        ({"deployment": "DEPLOY_TO_DEV"}, [["deployment", "DEPLOY_TO_DEV"]], [1, 3, 4]),
        ({"deployment_id": 2}, [["deployment_id", "2"]], [2]),
        (
            {"build_id": "5139", "pattern": "CORE_DV_HLS", "deployment": "DEPLOY_TO_DEV"},
            [["build_id", "5139"], ["pattern", "CORE_DV_HLS"], ["deployment", "DEPLOY_TO_DEV"]],
            [1],
        ),
    ],
)
def test_find_narrows_by_each_filter(metakraftwerk, api, four_deployments, filters, query, ids):
    assert [deployment.id for deployment in api.call(find_build_deployments(**filters))] == ids
    request = metakraftwerk.requests("GET")[-1]
    assert (request["path"], request["query"], request["body"]) == (PATH, query, None)


def test_get_reads_every_documented_field(metakraftwerk, api, finished):
    api.call(create_build_deployment(build_id=5139, pattern_id=810, deployment="DEPLOY_TO_TEST", agent_id=1))
    deployment = api.call(get_build_deployment(1))
    assert deployment == BuildDeployment(
        id=1, build_id=5139, pattern_id=810, deployment_id=8, upload_id=1361, agent_id=1, agent_group_id=None
    )
    assert deployment.to_dict() == deployment.raw
    assert (deployment.status, deployment.message) == (None, None)
    assert metakraftwerk.requests("GET")[-1]["path"] == f"{PATH}/1"


BY_ID = {"pattern_id": 808, "deployment_id": 1}
MADE = BuildDeployment(id=1, build_id=5139, pattern_id=808, deployment_id=1, upload_id=1359)


@pytest.mark.parametrize(
    ("arguments", "made"),
    [
        (BY_ID, MADE),
        ({"pattern": "CORE_DV_HLS", "deployment": "DEPLOY_TO_DEV"}, MADE),
        ({"pattern": "STAGE_LOAD", "deployment_id": 7}, replace(MADE, pattern_id=810, deployment_id=7, upload_id=1361)),
        (BY_ID | {"agent": "dev_md_agent"}, replace(MADE, agent_id=1)),
        (BY_ID | {"agent_id": 1}, replace(MADE, agent_id=1)),
        (BY_ID | {"agent_group": "DEV_AGENTS"}, replace(MADE, agent_group_id=1)),
        (BY_ID | {"agent_group_id": 1}, replace(MADE, agent_group_id=1)),
    ],
)
def test_create_sends_only_given_arguments(metakraftwerk, api, finished, arguments, made):
    assert api.call(create_build_deployment(build_id=5139, **arguments)) == made
    (request,) = metakraftwerk.requests("POST", PATH)
    assert (request["path"], request["query"], request["body"]) == (PATH, [], {"build_id": 5139} | arguments)
    (there,) = metakraftwerk.build_deployments()
    assert {name: there[name] for name in vars(made) if name != "raw"} == made.to_dict()


def test_rendered_ids_are_sent_as_numbers(metakraftwerk, api, finished):
    call = create_build_deployment(build_id="5139", pattern_id="808", deployment_id="1", agent_group_id="1")
    assert api.call(call) == replace(MADE, agent_group_id=1)
    (request,) = metakraftwerk.requests("POST", PATH)
    assert request["body"] == {"build_id": 5139, "pattern_id": 808, "deployment_id": 1, "agent_group_id": 1}


@pytest.mark.parametrize(
    ("outcome", "message"), [("FINISHED", None), ("FAILED", "Deployment failed: ENOENT: no such file or directory")]
)
def test_status_and_message_are_read_if_sent(metakraftwerk, api, finished, outcome, message):
    metakraftwerk.set(deployment_status="present", deployment_outcome=outcome)
    made = api.call(create_build_deployment(build_id=5139, **BY_ID))
    assert (made.status, made.message) == (outcome, message)
    assert api.call(get_build_deployment(1)).status == outcome


@pytest.mark.parametrize(
    "form",
    [
        lambda deployment: deployment,
        lambda deployment: [deployment],
        lambda deployment: {"build_deployment": deployment, "warnings": []},
    ],
)
def test_create_accepts_any_form_of_response(metakraftwerk, api, form):
    deployment = {"id": 7, "build_id": 5139, "pattern_id": 808, "deployment_id": 1, "upload_id": 1359}
    metakraftwerk.fault("status", method="POST", path=PATH, status=200, body=form(deployment))
    assert api.call(create_build_deployment(build_id=5139, **BY_ID)) == replace(MADE, id=7)
