from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("path", "record"),
    [
        ("/projects/402", {"id": 402, "name": "DEMO_PROJECT", "deleted": False, "disabled": False}),
        (
            "/patterns/808",
            {
                "id": 808,
                "name": "CORE_DV_HLS",
                "description": "Data Vault hubs, links and their satellites",
                "type": "IICS",
                "vers_no": "1.4.0",
                "status": "FINISHED",
                "active": True,
                "deleted": False,
                "disabled": False,
                "release_group_id": 5,
            },
        ),
        ("/deployments/1", {"id": 1, "pattern_id": 808, "name": "DEPLOY_TO_DEV"}),
        (
            "/releases/21",
            {
                "id": 21,
                "group_id": 5,
                "name": "R1",
                "description": None,
                "start_date": "2026-01-01T00:00:00.000Z",
                "end_date": None,
                "closed": False,
                "deleted": False,
                "hotfix_of_id": None,
                "prev_release_id": 19,
            },
        ),
        ("/release_groups/5", {"id": 5, "name": "DWH_GROUP", "description": "All layers of the warehouse"}),
        (
            "/agents/1",
            {
                "id": 1,
                "agent_id": "de058784-c9cc-448d-8e64-bfda70b314cc",
                "name": "dev_md_agent",
                "deleted": False,
                "disabled": False,
                "online": True,
                "group_id": 1,
            },
        ),
        ("/agent_groups/1", {"id": 1, "name": "DEV_AGENTS", "description": None}),
        (
            "/instance_folders/2",
            {
                "id": 2,
                "project_id": 402,
                "pattern_id": 808,
                "parent_folder_id": 1,
                "name": "CRM",
                "path": "/BUSINESS_VAULT/CRM",
                "deleted": False,
                "upload_disabled": False,
                "insert_disabled": False,
                "build_disabled": False,
                "edit_disabled": False,
            },
        ),
    ],
)
def test_records_have_their_documented_fields(demo, path, record):
    assert demo.get(path).json == record
    resource = path.split("/")[1]
    project = "&project_id=402" if resource == "instance_folders" else ""
    assert demo.get(f"/{resource}?name={record['name']}{project}").json.count(record) == 1


def test_internal_columns_are_not_shown(demo):
    instance = demo.get("/instances/1001").json
    assert (instance["name"], instance["labels"]) == ("AIRPLANE", [])
    assert {"build_seconds", "outcome"}.isdisjoint(instance)


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("projects?", ["DEMO_PROJECT", "SALES_DWH", "FINANCE_DWH", "HR_DWH"]),
        ("projects?name=HR_DWH", ["HR_DWH"]),
        ("projects?name=NOPE", []),
        ("patterns?", ["CORE_DV_HLS", "CORE_DV_SAT", "STAGE_LOAD", "MART_DIM"]),
        ("patterns?name=MART_DIM", ["MART_DIM"]),
        ("instance_folders?project=DEMO_PROJECT&pattern=STAGE_LOAD", ["STAGING", "ERP"]),
        ("instance_folders?project_id=402&name=CRM&pattern_id=809", ["CRM"]),
        ("instance_folders?project_id=402&deleted=true", []),
        ("instances?project_id=402&folder=/BUSINESS_VAULT/CRM&pattern_id=808", ["CUSTOMER", "ORDER", "CONTACT"]),
        ("instances?project=SALES_DWH&name=AIRPLANE", ["AIRPLANE"]),
        ("instances?project_id=402&deleted=true", ["OLD_ROUTE"]),
        ("instances?project_id=402&pattern=MART_DIM&releases[DWH_GROUP]=R1", []),
        ("instances?project_id=402&pattern=CORE_DV_SAT&checked_out=true", []),
        ("instances?project_id=402&checked_out_by_user=demo", []),
        ("instances?project_id=402&invalid=true", []),
        ("deployments?pattern=CORE_DV_HLS", ["DEPLOY_TO_DEV", "DEPLOY_TO_TEST", "DEPLOY_TO_PROD"]),
        ("deployments?pattern_id=808&name=DEPLOY_TO_PROD", ["DEPLOY_TO_PROD"]),
        ("releases?group=DWH_GROUP", ["R0", "Default Release", "R1"]),
        ("releases?closed=true", ["R0"]),
        ("releases?group_id=9", []),
        ("agents?agent_id=de058784-c9cc-448d-8e64-bfda70b314cc", ["dev_md_agent"]),
        ("agents?group=DEV_AGENTS&online=true", ["dev_md_agent"]),
        ("agents?online=false", []),
        ("agent_groups?name=NOPE", []),
    ],
)
def test_lists_and_their_filters(demo, query, names):
    assert [record["name"] for record in demo.get(f"/{query}").json] == names


@pytest.mark.parametrize(
    ("query", "status", "message"),
    [
        ("deployments?pattern=X", 404, "A pattern with the name 'X' does not exist!"),
        ("releases?group=X", 404, "A release group with the name 'X' does not exist!"),
        ("agents?group=X", 404, "An agent group with the name 'X' does not exist!"),
        ("instances", 400, "A project id or name is required!"),
        ("instances?project=A&project_id=1", 400, "Specify either a project id or a project name, not both!"),
        ("instance_folders", 400, "A project id or name is required!"),
        ("instances?project=X", 404, "A project with the name 'X' does not exist!"),
        ("projects/9", 404, "No record found for id '9'"),
        ("agents/x", 404, "No record found for id 'x'"),
    ],
)
def test_invalid_lists_are_refused(demo, query, status, message):
    response = demo.get(f"/{query}")
    assert (response.status, response.message) == (status, message)


def test_pattern_404_of_deployments_is_fixed(emulator, demo):
    emulator.set(unknown_filter="empty")
    assert demo.get("/deployments?pattern=X").status == 404
    assert demo.get("/releases?group=X").json == []


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_catalog_is_read_only(demo, method):
    response = demo.call(method, "/api/v1/projects", {})
    assert (response.status, response.json["name"], response.headers["allow"]) == (405, "MethodNotAllowed", "GET")
