"""``snapshot``: write a seed file from the lists of a real account, without names of people."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mkw_airflow_provider.emulator.state.seed_format import RELEASE, SEED, SeedError, check_seed

# Free text may name people, and so may whatever is not listed in the form of a seed, such as user ids.
LEFT_OUT = {"description", "agent_id", "checked_out"}

Row = dict[str, Any]
List = Callable[..., list[Row]]


def main(arguments: Sequence[str]) -> int:
    """Write a seed file.

    :param arguments: the command line after ``snapshot``.
    :return: the exit status: 0, or 1 if the account could not be read.
    """
    options = _parser().parse_args(arguments)
    try:
        seed = make_seed(read_account(options.conn_id), options.project)
        text = json.dumps(seed, indent=1, ensure_ascii=False) + "\n"
        Path(options.output).write_text(text, "utf-8")
    except Exception as error:
        sys.stderr.write(f"The snapshot failed: {' '.join(str(error).split()) or type(error).__name__}\n")
        return 1
    counts = {name: len(seed[name]) for name in ("projects", "patterns", "agents")}
    counts["instances"] = sum(len(project["instances"]) for project in seed["projects"])
    found = ", ".join(f"{count} {name}" for name, count in counts.items())
    sys.stdout.write(f"Wrote {options.output}: {found}.\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mkw_airflow_provider.emulator snapshot",
        description="Write a seed file from the lists of a real account. It only reads.",
    )
    parser.add_argument("--conn-id", required=True, help="Airflow connection of the account")
    parser.add_argument("--project", action="append", help="name of a project; may be repeated (default: all)")
    parser.add_argument("--output", default="warehouse.json", metavar="FILE", help="default: %(default)s")
    return parser


def read_account(conn_id: str) -> List:
    """Return a function that reads one list of an account, such as ``("instances", project_id=402)``.

    :param conn_id: the Airflow connection.
    """
    # Only this subcommand needs Airflow and the client; the emulator itself imports nothing of the rest of the package.
    from mkw_airflow_provider.client.api import agents, deployments, instance_folders, instances, patterns, projects
    from mkw_airflow_provider.client.api import releases as releases_api
    from mkw_airflow_provider.hooks.metakraftwerk import MetaKraftwerkHook

    hook = MetaKraftwerkHook(conn_id)
    requests: dict[str, Callable[..., Any]] = {
        "projects": projects.find_projects,
        "patterns": patterns.find_patterns,
        "release_groups": releases_api.find_release_groups,
        "releases": releases_api.find_releases,
        "agent_groups": agents.find_agent_groups,
        "agents": agents.find_agents,
        "deployments": deployments.find_deployments,
        "instance_folders": instance_folders.find_instance_folders,
        "instances": instances.find_instances,
    }

    def read(name: str, **filters: Any) -> list[Row]:
        records = hook.run(hook.session.request(requests[name](**filters)))
        # The raw object has the flags that the client does not declare.
        return [dict(record.raw) for record in records]

    return read


def make_seed(read: List, projects: Sequence[str] | None = None) -> Row:
    """Return a seed with the records of an account; its ids stay the same.

    :param read: reads one list.
    :param projects: names of the projects; None for all.
    :raises SeedError: for an unknown project, or if the lists contradict each other.
    """
    found = _unique(read("projects"), "name")
    unknown = sorted(set(projects or ()) - {row["name"] for row in found})
    if unknown:
        raise SeedError("", f"the account has no project '{unknown[0]}'")
    groups = {row["id"]: row["name"] for row in _unique(read("release_groups"), "name")}
    releases = _unique(read("releases"), "group_id", "name")
    patterns = {row["id"]: row for row in _unique(read("patterns"), "name")}
    agent_groups = {row["id"]: row["name"] for row in _unique(read("agent_groups"), "name")}
    seed: Row = {
        "release_groups": [
            {"name": name, "id": group_id, "releases": _releases_of(group_id, releases)}
            for group_id, name in groups.items()
        ],
        "agent_groups": [{"name": name, "id": group_id} for group_id, name in agent_groups.items()],
        "agents": [
            _select(row, SEED["agents"][0]) | _reference("group", agent_groups, row.get("group_id"))
            for row in _unique(read("agents"), "name")
        ],
        "patterns": [
            _select(row, SEED["patterns"][0])
            | _reference("release_group", groups, row.get("release_group_id"))
            | {"deployments": [one["name"] for one in _unique(read("deployments", pattern_id=pattern_id), "name")]}
            for pattern_id, row in patterns.items()
        ],
        "projects": [
            _select(row, SEED["projects"][0]) | _read_project(read, row["id"], patterns, releases)
            for row in found
            if projects is None or row["name"] in projects
        ],
    }
    check_seed(seed)
    return seed


def _read_project(read: List, project_id: int, patterns: dict[int, Row], releases: list[Row]) -> Row:
    form = SEED["projects"][0]
    names = {row["id"]: row["name"] for row in releases}
    group_of = {row["id"]: row["group_id"] for row in releases}
    folders = [row for row in read("instance_folders", project_id=project_id) if row.get("pattern_id") in patterns]
    folders = [row for row in _unique(folders, "pattern_id", "path") if str(row["path"]).startswith("/")]
    paths = {row["id"]: row["path"] for row in folders}
    instances = [
        row
        for row in read("instances", project_id=project_id)
        if row.get("pattern_id") in patterns and row.get("instance_folder_id") in paths
    ]
    return {
        "folders": [
            {"pattern": patterns[row["pattern_id"]]["name"]} | _select(row, form["folders"][0]) for row in folders
        ],
        "instances": [
            {"pattern": patterns[row["pattern_id"]]["name"], "folder": paths[row["instance_folder_id"]]}
            | _select(row, form["instances"][0])
            | (
                _reference("release", names, row.get("release_id"))
                if group_of.get(row.get("release_id")) == patterns[row["pattern_id"]].get("release_group_id")
                else {}
            )
            for row in _unique(instances, "instance_folder_id", "name")
        ],
    }


def _releases_of(group_id: int, releases: list[Row]) -> list[Row]:
    """Return the releases of a group; a seed can name as ``previous`` only a release that comes earlier."""
    earlier: dict[int, str] = {}
    found = []
    for row in (row for row in releases if row["group_id"] == group_id):
        found.append(_select(row, RELEASE) | _reference("previous", earlier, row.get("prev_release_id")))
        earlier[row["id"]] = row["name"]
    return found


def _unique(rows: list[Row], *key: str) -> list[Row]:
    """Return rows with a name, one for each key: those that are not deleted first, then in the server's sequence."""
    chosen: dict[tuple[Any, ...], Row] = {}
    named = [row for row in rows if all(row.get(name) not in (None, "") for name in key)]
    for row in sorted(named, key=lambda row: bool(row.get("deleted"))):
        chosen.setdefault(tuple(row[name] for name in key), row)
    return [row for row in named if chosen[tuple(row[name] for name in key)] is row]


def _select(row: Row, form: Row) -> Row:
    """Return the values of a row that a seed may contain and that differ from its defaults."""
    selected: Row = {}
    for name, check in form.items():
        value = row.get(name)
        if isinstance(check, list) or name in LEFT_OUT or value is None or value == []:
            continue
        # Flags may be sent as integers.
        if check(value) is not None and value in (0, 1):
            value = bool(value)
        is_default = value == 0 and name not in ("online", "active")
        if check(value) is None and not is_default:
            selected[name] = value
    return selected


def _reference(key: str, names: dict[int, str], record_id: Any) -> Row:
    return {key: names[record_id]} if record_id in names else {}
