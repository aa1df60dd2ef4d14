from __future__ import annotations

import json

import pytest

from mkw_airflow_provider.emulator import Emulator
from mkw_airflow_provider.emulator.__main__ import main
from mkw_airflow_provider.emulator.snapshot import make_seed
from mkw_airflow_provider.emulator.state.seed_format import SeedError

PATTERN = "CORE_DV_HLS"
COMMAND = ["snapshot", "--conn-id", "metakraftwerk_default", "--output"]


def lists(api, *projects):
    """What the lists of an account contain, without what belongs to people."""
    names = ["projects", "patterns", "release_groups", "releases", "agent_groups", "agents", "deployments"]
    names += [f"{name}?project_id={project}" for name in ("instances", "instance_folders") for project in projects]
    ours = {"description", "id", "parent_folder_id", "instance_folder_id", "checked_out", "checked_out_by_user_id"}
    with_ids = {name.partition("?")[0]: api.get(f"/{name}").json for name in names}
    return {
        name: [{key: value for key, value in row.items() if key not in ours} for row in rows]
        for name, rows in with_ids.items()
    }


def test_a_snapshot_gives_the_same_warehouse(emulator, demo, client, tmp_path, capsys):
    emulator.add_agent("agent_2", group="TEST_AGENTS", online=False)
    emulator.add_folder("/A/B", pattern=PATTERN, build_disabled=True)
    emulator.add_instance("X", pattern=PATTERN, folder="/A/B", labels=["n"], release="R1", errors=2, invalid=True)
    emulator.add_instance("Y", pattern=PATTERN, folder="/A/B", edit_disabled=True, description="by Jane Doe", id=9999)
    file = tmp_path / "warehouse.json"
    assert main([*COMMAND, str(file)]) == 0
    assert capsys.readouterr().out == f"Wrote {file}: 4 projects, 4 patterns, 2 agents, 74 instances.\n"
    with Emulator(seed=file) as copy:
        other = client(copy.url).log_in("demo@example.com")
        assert other.get("/instances/9999").json["name"] == "Y"
        volatile = {"agents": "agent_id", "instances": "latest_commit_id"}
        expected, actual = lists(demo, 402), lists(other, 402)
        for rows in (expected, actual):
            for name, key in volatile.items():
                for row in rows[name]:
                    row.pop(key)
        assert actual == expected
    text = file.read_text()
    assert not any(word in text for word in ("Jane Doe", "demo@", "user", "description"))


def test_a_snapshot_of_some_projects(emulator, tmp_path):
    file = tmp_path / "warehouse.json"
    assert main([*COMMAND, str(file), "--project", "SALES_DWH"]) == 0
    assert [project["name"] for project in json.loads(file.read_text())["projects"]] == ["SALES_DWH"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--project", "SALES"], "the account has no project 'SALES'"),
        (["--conn-id", "nowhere"], "nowhere"),
        (["--output", "/none/x.json"], "No such file"),
    ],
)
def test_a_failed_snapshot_is_one_sentence(emulator, tmp_path, capsys, arguments, reason):
    assert main([*COMMAND, str(tmp_path / "x.json"), *arguments]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("The snapshot failed: ")
    assert reason in error


def test_duplicates_and_gaps_are_omitted():
    found = {
        "projects": [{"id": 1, "name": "P"}],
        "patterns": [{"id": 2, "name": "HUB", "deleted": 1}, {"id": 3, "name": "HUB"}, {"id": 4, "name": None}],
        "instance_folders": [{"id": 5, "pattern_id": 3, "path": "/A"}, {"id": 6, "pattern_id": 9, "path": "/A"}],
        "instances": [
            {"id": 7, "pattern_id": 3, "instance_folder_id": 5, "name": "X", "deleted": True},
            {"id": 8, "pattern_id": 3, "instance_folder_id": 5, "name": "X", "build_disabled": 1, "labels": None},
            {"id": 9, "pattern_id": 3, "instance_folder_id": 6, "name": "Y"},
        ],
    }
    seed = make_seed(lambda name, **filters: found.get(name, []))
    assert [pattern["id"] for pattern in seed["patterns"]] == [3]
    assert seed["projects"][0]["instances"] == [
        {"pattern": "HUB", "folder": "/A", "name": "X", "id": 8, "build_disabled": True}
    ]
    with pytest.raises(SeedError, match="no project 'Q'"):
        make_seed(lambda name, **filters: found.get(name, []), ["Q"])
