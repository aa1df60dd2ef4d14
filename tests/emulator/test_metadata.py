from __future__ import annotations

import pytest

DELIVERIES = "SELECT * FROM @INFORMATION_SCHEMA.DELIVERIES WHERE BUILD_ID = {}"


@pytest.fixture
def query(demo):
    def run(statement: str, **project: object):
        response = demo.post("/metadata", (project or {"project": "DEMO_PROJECT"}) | {"statement": statement})
        assert response.status == 201
        return response.json

    return run


def test_a_result_has_the_documented_fields(query):
    result = query("SELECT ID, INSTANCE FROM @information_schema.instances WHERE ID = 1001", project_id=402)
    assert set(result) == {"id", "user_id", "type", "sql", "stmt_no", "start_time", "status", "rows", "metadata"}
    assert (result["type"], result["status"], result["stmt_no"], result["user_id"]) == (
        "select_statement",
        "FINISHED",
        1,
        1,
    )
    assert result["rows"] == [{"ID": 1001, "INSTANCE": "AIRPLANE"}]
    assert result["metadata"] == [{"name": "ID", "type": "INTEGER"}, {"name": "INSTANCE", "type": "STRING"}]


def test_instances_and_commits_know_the_builds(emulator, query, finished):
    (instance,) = query("SELECT * FROM @INFORMATION_SCHEMA.INSTANCES WHERE INSTANCE = 'AIRPLANE'")["rows"]
    assert instance == {
        "ID": 1001,
        "PATTERN": "CORE_DV_HLS",
        "FOLDER": "/BUSINESS_VAULT",
        "INSTANCE": "AIRPLANE",
        "UPLOAD_ENABLED": 1,
        "INSERT_ENABLED": 1,
        "EDIT_ENABLED": 1,
        "BUILD_ENABLED": 1,
        "LATEST_BUILD_ID": 5139,
        "DELETED": 0,
        "DESCRIPTION": None,
    }
    (commit,) = query("SELECT TYPE, STATUS, BUILD_ID FROM @INFORMATION_SCHEMA.COMMITS")["rows"]
    assert commit == {"TYPE": "Build", "STATUS": "FINISHED", "BUILD_ID": 5139}


def test_deliveries_count_changes(emulator, demo, query):
    emulator.set(build_seconds=0)
    first = demo.build({"id": 1001}, {"id": 1002})["id"]
    emulator.set_instance(1001, outcome="FAILED")
    demo.build({"id": 1001}, {"id": 1002})
    emulator.set_instance(1001, outcome="FINISHED", changed=True)
    third = demo.build({"id": 1001}, {"id": 1002})["id"]
    unchanged = demo.build({"id": 1001}, {"id": 1002})["id"]
    rows = query(DELIVERIES.format(first))["rows"]
    assert [(row["INSTANCE"], row["MODE"], row["ADDED"]) for row in rows] == [
        ("AIRPLANE", "CREATION", 8),
        ("AIRPORT", "CREATION", 8),
    ]
    (row,) = query(DELIVERIES.format(third))["rows"]
    assert (row["INSTANCE"], row["COMPARE_TO_BUILD_ID"], row["MODE"]) == ("AIRPLANE", first, "INST_DELTA")
    assert (row["ADDED"], row["CHANGED"], row["DELETED"], row["CHANGE_COUNT"]) == (0, 1, 0, 1)
    assert query(DELIVERIES.format(unchanged))["rows"] == []


def test_a_running_build_has_no_deliveries(emulator, demo, query):
    emulator.set(build_seconds=1000)
    assert query(DELIVERIES.format(demo.build()["id"]))["rows"] == []


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("SELECT * FROM nowhere", "select_statement"),
        ("SELECT * FROM @INFORMATION_SCHEMA.NOWHERE", "select_statement"),
        ("DELETE FROM @INFORMATION_SCHEMA.INSTANCES", "delete_statement"),
        ("ATTACH 'x.db' AS x", "attach_statement"),
        ("PRAGMA user_version = 1", "pragma_statement"),
        ("SELECT 1; SELECT 2", "select_statement"),
        ("nonsense", "nonsense_statement"),
        ("SELECT 'a\x00'", "select_statement"),
    ],
)
def test_a_sql_error_is_a_status(emulator, demo, query, statement, kind):
    result = query(statement)
    assert (result["status"], result["type"], result["rows"]) == ("ERROR", kind, [])
    assert result["message"].startswith("SQL error: ")
    emulator.set(metadata_error="400")
    assert demo.post("/metadata", {"project_id": 402, "statement": statement}).status == 400


def test_the_result_may_be_an_array(emulator, demo):
    emulator.set(metadata_response="array")
    (result,) = demo.post("/metadata", {"project_id": 402, "statement": "SELECT 1 AS ONE"}).json
    assert result["rows"] == [{"ONE": 1}]


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"project_id": 402}, 400, "A statement is required!"),
        ({"statement": "SELECT 1"}, 400, "A project id or name is required!"),
        ({"project": "X", "statement": "SELECT 1"}, 404, "A project with the name 'X' does not exist!"),
        (
            {"project": "X", "project_id": 1, "statement": "SELECT 1"},
            400,
            "Specify either a project id or a project name, not both!",
        ),
    ],
)
def test_invalid_queries(demo, body, status, message):
    response = demo.post("/metadata", body)
    assert (response.status, response.message) == (status, message)


def test_other_projects_cannot_be_queried(outsider):
    response = outsider.post("/metadata", {"project_id": 402, "statement": "SELECT 1"})
    assert (response.status, response.message) == (403, "You don't have permissions to access this project!")
