"""Find records by name or id, with the documented errors where one is missing or not accessible."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mkw_airflow_provider.emulator.state import errors
from mkw_airflow_provider.emulator.state.errors import ApiError
from mkw_airflow_provider.emulator.state.state import State
from mkw_airflow_provider.emulator.state.store import Row

# How messages name a table's records.
SINGULAR = {
    "projects": "project",
    "patterns": "pattern",
    "users": "user",
    "agents": "agent",
    "agent_groups": "agent group",
    "release_groups": "release group",
}

# No record has this id: a filter with it finds nothing.
NO_ID = -1


def by_name(state: State, table: str, name: str) -> Row:
    """Return a record by its name.

    :raises ApiError: 404 if it does not exist.
    """
    rows = state.store.find(table, name=name)
    if not rows:
        raise ApiError(404, errors.no_name(SINGULAR[table], name))
    return rows[0]


def by_id(state: State, table: str, record_id: int) -> Row:
    """Return a record by its id.

    :raises ApiError: 404 if it does not exist.
    """
    row = state.store.get(table, record_id)
    if row is None:
        raise ApiError(404, errors.no_record(record_id))
    return row


def find_exactly_one(state: State, table: str, name: str | None, record_id: int | None, missing: str) -> Row:
    """Return the record that a body names by either its name or its id.

    :param missing: the message where both are missing.
    :raises ApiError: 400 unless exactly one is given; 404 if there is no such record.
    """
    if name is None and record_id is None:
        raise ApiError(400, missing)
    if name is not None and record_id is not None:
        raise ApiError(400, errors.not_both(SINGULAR[table]))
    return by_name(state, table, name) if name is not None else by_id(state, table, record_id or 0)


def resolve_filter(state: State, table: str, name: str | None, record_id: int | None) -> int | None:
    """Return the id that a pair of filters names, or None where neither is given.

    :raises ApiError: 404 for an unknown name, unless the switch ``unknown_filter`` asks for an empty list.
    """
    if name is None:
        return record_id
    try:
        found = int(by_name(state, table, name)["id"])
    except ApiError:
        # Documented for projects, so no switch changes it there.
        if state.switches.unknown_filter == "empty" and table != "projects":
            return NO_ID
        raise
    return found if record_id in (None, found) else NO_ID


def is_buildable(state: State, instance: Row) -> bool:
    """Tell whether an instance is valid and neither it nor a folder above it is disabled for builds."""
    if instance["invalid"] or instance["errors"] or instance["build_disabled"]:
        return False
    folder = state.store.get("instance_folders", instance["instance_folder_id"])
    while folder is not None:
        if folder["build_disabled"]:
            return False
        parent_id = folder["parent_folder_id"]
        folder = None if parent_id is None else state.store.get("instance_folders", parent_id)
    return True


def check_project_access(state: State, user: Row, project_id: int) -> Row:
    """Return the user's membership in a project.

    :raises ApiError: 403 without one.
    """
    membership = state.store.one(
        "SELECT * FROM memberships WHERE user_id = ? AND project_id = ?", user["id"], project_id
    )
    if membership is None:
        raise ApiError(403, errors.NO_PROJECT_ACCESS)
    return membership


def check_record_access(state: State, user: Row, project_id: int, record_id: object) -> None:
    """Refuse a single record of a project that the user may not view.

    :raises ApiError: 404 or 403, as the switch ``foreign_record`` says.
    """
    try:
        check_project_access(state, user, project_id)
    except ApiError:
        if state.switches.foreign_record == 403:
            raise
        raise ApiError(404, errors.no_record(record_id)) from None


def find_releases_by_name(state: State, releases: Mapping[str, str]) -> dict[int, Row]:
    """Return the releases that an object of group names and release names refers to, by group id.

    :raises ApiError: 404 for an unknown group or release.
    """
    found: dict[int, Row] = {}
    for group_name, release_name in releases.items():
        group = by_name(state, "release_groups", group_name)
        rows = state.store.find("releases", group_id=group["id"], name=release_name, deleted=0)
        if not rows:
            raise ApiError(404, errors.no_name("release", release_name))
        found[group["id"]] = rows[0]
    return found


def parse_releases(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """Parse the query parameter ``releases`` in either encoding; how it is encoded is not documented.

    :param pairs: the query's names and values: ``releases={"GROUP": "R1"}`` or ``releases[GROUP]=R1``.
    :raises ApiError: 400 if it is not an object of texts.
    """
    releases: dict[str, Any] = {}
    for name, value in pairs:
        if name == "releases":
            try:
                parsed = json.loads(value)
            except (ValueError, RecursionError):
                parsed = None
            if not isinstance(parsed, dict) or not all(isinstance(item, str) for item in parsed.values()):
                raise ApiError(400, "'releases' must be an object of release group names and release names")
            releases |= parsed
        elif name.startswith("releases[") and name.endswith("]"):
            releases[name[len("releases[") : -1]] = value
    try:
        "".join(name + value for name, value in releases.items()).encode()
    except UnicodeEncodeError:
        # JSON can escape lone surrogates, which no name contains.
        raise ApiError(400, "'releases' must hold valid Unicode") from None
    return releases
