from __future__ import annotations

import json

import pytest

from mkw_airflow_provider.emulator import ControlError, Emulator

SEED = {
    "release_groups": [
        {"name": "CORE", "releases": [{"name": "R1", "closed": True}, {"name": "R2", "previous": "R1"}]}
    ],
    "agent_groups": [{"name": "WINDOWS"}],
    "agents": [{"name": "agent_1", "group": "WINDOWS"}, {"name": "agent_2", "online": False}],
    "patterns": [
        {"name": "HUB", "id": 7, "type": "FABRIC", "release_group": "CORE", "deployments": ["GO_LIVE"]},
        {"name": "SAT"},
    ],
    "projects": [
        {
            "name": "DWH",
            "folders": [
                {"pattern": "HUB", "path": "/A/B", "build_disabled": True},
                {"pattern": "HUB", "path": "/A", "deleted": True},
            ],
            "instances": [
                {"pattern": "HUB", "folder": "/A/B", "name": "X", "labels": ["nightly"], "release": "R2"},
                {"pattern": "SAT", "folder": "/A", "name": "X", "id": 5, "invalid": True, "errors": 2},
            ],
        },
        {"name": "EMPTY", "id": 9},
    ],
}


@pytest.fixture
def start(tmp_path):
    """Start an emulator with a seed file of this text."""
    running = []

    def run(text: str) -> Emulator:
        file = tmp_path / "warehouse.json"
        file.write_text(text)
        running.append(Emulator(seed=file, build_seconds=0).start())
        return running[-1]

    yield run
    for emulator in running:
        emulator.close()


def test_a_seed_file_replaces_the_default_seed(start, client):
    demo = client(start(json.dumps(SEED)).url).log_in("demo@example.com")
    rows = {name: demo.get(f"/{name}").json for name in ("projects", "patterns", "agents", "deployments", "releases")}
    assert [(row["id"], row["name"]) for row in rows["projects"]] == [(9, "EMPTY"), (402, "DWH")]
    assert [(row["id"], row["type"]) for row in rows["patterns"]] == [(7, "FABRIC"), (808, "SNOWFLAKE")]
    assert [(row["group_id"], row["online"]) for row in rows["agents"]] == [(1, True), (None, False)]
    assert [row["name"] for row in rows["deployments"] if row["pattern_id"] == 7] == ["GO_LIVE"]
    assert [(row["name"], row["prev_release_id"]) for row in rows["releases"]][1:] == [
        ("R2", 1),
        ("Default Release", None),
    ]
    folders = demo.get("/instance_folders?project=DWH&pattern=HUB").json
    assert [(row["path"], row["deleted"], row["build_disabled"]) for row in folders] == [
        ("/A", True, False),
        ("/A/B", False, True),
    ]
    assert folders[1]["parent_folder_id"] == folders[0]["id"]
    hub, sat = sorted(demo.get("/instances?project=DWH").json, key=lambda row: row["pattern_id"])
    assert (hub["labels"], hub["release_id"], sat["id"], sat["invalid"], sat["errors"]) == (["nightly"], 2, 5, True, 2)


def test_reset_restores_the_given_seed(start):
    emulator = start(json.dumps(SEED))
    emulator.add_project("MORE")
    emulator.reset()
    assert emulator.start_build("DWH", ["X"])["project"] == "DWH"
    with pytest.raises(ControlError, match="'MORE' is not in projects: EMPTY, DWH"):
        emulator.start_build("MORE", ["X"])


def test_viewer_sees_the_first_project(start, client):
    url = start(json.dumps(SEED)).url
    seen = {name: client(url).log_in(f"{name}@example.com").get("/projects").json for name in ("viewer", "outsider")}
    assert [[row["name"] for row in rows] for rows in seen.values()] == [["DWH"], []]


X = {"pattern": "HUB", "folder": "/A", "name": "X"}
PATH = "expected a path such as /BUSINESS_VAULT/CRM"


def without(key: str) -> dict[str, str]:
    return {name: value for name, value in X.items() if name != key}


@pytest.mark.parametrize(
    ("instances", "message"),
    [
        ([X | {"pattern": "HAB"}], "[0].pattern: unknown pattern 'HAB'; did you mean 'HUB'?"),
        ([without("name") | {"nam": "X"}], "[0].nam: unknown key; did you mean 'name'?"),
        ([without("name")], "[0]: the key 'name' is missing"),
        ([X | {"folder": "A"}], f'[0].folder: {PATH}, got "A"'),
        ([X | {"folder": "/A//B"}], f'[0].folder: {PATH}, got "/A//B"'),
        ([X | {"release": "R"}], "[0].release: unknown release 'R'"),
        ([X | {"deleted": 1}], "[0].deleted: expected true or false, got 1"),
        ([X | {"id": True}], "[0].id: expected an integer, 1 or more, got true"),
        ([X | {"build_seconds": -1}], "[0].build_seconds: expected a number of seconds, 0 or more, got -1"),
        ([X | {"outcome": "BAD"}], '[0].outcome: expected one of FINISHED, FAILED, CANCELED, got "BAD"'),
        ([X | {"labels": ["a", "a"]}], "[0].labels: a text appears twice in the list, got a list"),
        ([X, X], "[1]: duplicate 'X' in instances"),
        ([X | {"id": 1}, X | {"name": "Y", "id": 1}], "[1].id: the id 1 is used twice in instances"),
    ],
)
def test_invalid_instance_is_one_sentence(start, tmp_path, instances, message):
    seed = {"patterns": [{"name": "HUB"}], "projects": [{"name": "P", "instances": instances}]}
    with pytest.raises(ValueError, match="warehouse") as caught:
        start(json.dumps(seed))
    assert str(caught.value) == f"{tmp_path}/warehouse.json: projects[0].instances{message}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"projects": [{"name": "P"}, {"name": "P"}]}', "projects[1]: duplicate 'P' in projects"),
        ('{"projects": {}}', "projects: expected a list, got an object"),
        ('{"agents": [{"name": "a", "group": "G"}]}', "agents[0].group: unknown agent group 'G'"),
        ('{"patterns": [{"name": ""}]}', 'patterns[0].name: expected a text that is not empty, got ""'),
        ('{"patterns": [{"name": "\\ud800"}]}', 'patterns[0].name: expected valid Unicode, got "\\ud800"'),
        ('{"patterns": [{"name": "A", "name": "B"}]}', "the key 'name' appears twice in one object"),
        ('{"patterns": [', "line 1, column 15: invalid JSON, Expecting value"),
        ("[]", "the seed: expected an object, got a list"),
    ],
)
def test_invalid_seed_is_one_sentence(start, tmp_path, text, message):
    with pytest.raises(ValueError, match="warehouse") as caught:
        start(text)
    assert str(caught.value) == f"{tmp_path}/warehouse.json: {message}"


def test_missing_seed_file_is_an_error(tmp_path):
    with pytest.raises(ValueError, match=r"none\.json: the file cannot be read: No such file or directory"):
        Emulator(seed=tmp_path / "none.json")


def test_records_are_added_while_it_runs(emulator, demo):
    pattern_id = emulator.add_pattern("NEW_PATTERN", deployments=[])
    deployment_id = emulator.add_deployment("GO_LIVE", pattern="NEW_PATTERN")
    project_id = emulator.add_project("NEW_DWH")
    folder_id = emulator.add_folder("/A/B", project="NEW_DWH", pattern="NEW_PATTERN", build_disabled=True)
    instance_id = emulator.add_instance("X", project="NEW_DWH", pattern="NEW_PATTERN", folder="/A/B", labels=["n"])
    agents = [emulator.add_agent(name, group="NEW_AGENTS") for name in ("a", "b")]
    assert demo.get(f"/deployments/{deployment_id}").json["pattern_id"] == pattern_id
    assert demo.get(f"/instance_folders/{folder_id}").json["build_disabled"] is True
    instance = demo.get(f"/instances/{instance_id}").json
    assert (instance["project_id"], instance["instance_folder_id"], instance["labels"]) == (
        project_id,
        folder_id,
        ["n"],
    )
    assert [row["id"] for row in demo.get("/agents?group=NEW_AGENTS").json] == agents
    emulator.set(build_seconds=0)
    build = demo.build({"id": instance_id}, project="NEW_DWH")
    assert build["downloads"][0]["pattern"] == "NEW_PATTERN"


@pytest.mark.parametrize(
    ("add", "message"),
    [
        (lambda emulator: emulator.add_project("DEMO_PROJECT", id=1), "duplicate 'DEMO_PROJECT' in projects"),
        (lambda emulator: emulator.add_agent("x", id=1), "the id 1 is used twice in agents"),
        (lambda emulator: emulator.add_instance("X", pattern="CORE_DV_HL", folder="/A"), "did you mean 'CORE_DV_HLS'"),
        (
            lambda emulator: emulator.add_instance("X", pattern="MART_DIM", folder="/A", lable=1),
            "did you mean 'labels'",
        ),
    ],
)
def test_a_failed_addition_adds_nothing(emulator, demo, add, message):
    before = demo.get("/instance_folders?project_id=402").json
    with pytest.raises(ControlError, match=message):
        add(emulator)
    assert demo.get("/instance_folders?project_id=402").json == before


def test_ten_thousand_instances(client):
    instances = [
        {"pattern": f"P{number % 6}", "folder": f"/F{number % 25}/G{number % 500}", "name": f"I{number}"}
        for number in range(10_000)
    ]
    seed = {
        "patterns": [{"name": f"P{number}"} for number in range(6)],
        "projects": [{"name": "P", "instances": instances}],
    }
    with Emulator(seed=seed, build_seconds=0) as emulator:
        demo = client(emulator.url).log_in("demo@example.com")
        found = demo.get("/instances?project=P").json
        build = demo.build(*[{"id": row["id"]} for row in found], project="P")
    assert (len(found), build["instances"], len(build["downloads"])) == (10_000, 10_000, 6)
