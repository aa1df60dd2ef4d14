"""/api/v1/builds: find, get and create builds."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from mkw_airflow_provider.emulator.api.common import (
    RELEASES_PARAMETER,
    IdFilter,
    RecordId,
    ReleasesFilter,
    StateDep,
    TextFilter,
    UserDep,
    json_list,
    json_response,
    responses,
)
from mkw_airflow_provider.emulator.api.request_bodies import InstanceDefinition, NewBuild
from mkw_airflow_provider.emulator.api.response_models import Build, CreatedBuild
from mkw_airflow_provider.emulator.state import builds, errors, lookups
from mkw_airflow_provider.emulator.state.errors import ApiError
from mkw_airflow_provider.emulator.state.odd_values import add_odd_values
from mkw_airflow_provider.emulator.state.state import State
from mkw_airflow_provider.emulator.state.store import Row

router = APIRouter(prefix="/builds", tags=["Builds"])


@router.get(
    "",
    responses=responses(list[Build], 400, 401, 403, 404),
    summary="Find builds",
    openapi_extra={"parameters": [RELEASES_PARAMETER]},
)
async def find_builds(
    request: Request,
    state: StateDep,
    user: UserDep,
    project: TextFilter = None,
    project_id: IdFilter = None,
    user_name: Annotated[str | None, Query(alias="user")] = None,
    user_id: IdFilter = None,
    pattern: TextFilter = None,
    pattern_id: IdFilter = None,
    releases: ReleasesFilter = None,
) -> Response:
    """Builds that match all filters, in the projects that the user may view."""
    project_id = lookups.resolve_filter(state, "projects", project, project_id)
    if project_id is not None and state.store.get("projects", project_id):
        lookups.check_project_access(state, user, project_id)
    rows = _find_builds(
        state,
        user,
        project_id,
        lookups.resolve_filter(state, "users", user_name, user_id),
        lookups.resolve_filter(state, "patterns", pattern, pattern_id),
    )
    # Read from the query itself, because either encoding is accepted.
    del releases
    try:
        named = lookups.find_releases_by_name(state, lookups.parse_releases(request.query_params.multi_items()))
    except ApiError as error:
        if error.status != 404 or state.switches.unknown_filter != "empty":
            raise
        return json_response(state, [])
    wanted = {release["id"] for release in named.values()}
    return json_list(state, [_render(state, row) for row in rows if wanted <= set(json.loads(row["releases"]))])


@router.get("/{record_id}", responses=responses(Build, 401, 403, 404), summary="Get a build")
async def get_build(state: StateDep, user: UserDep, record_id: RecordId) -> Response:
    """One build, with its downloads once it is finished."""
    row = lookups.by_id(state, "builds", record_id)
    lookups.check_record_access(state, user, row["project_id"], record_id)
    if state.is_new(row["starts"], state.switches.read_delay_seconds):
        raise ApiError(404, errors.no_record(record_id))
    return json_response(state, _render(state, row))


@router.post(
    "",
    status_code=201,
    responses=responses(CreatedBuild, 400, 401, 403, 404, status=201),
    summary="Create a build",
    openapi_extra={"requestBody": {"required": True}},
)
async def create_build(state: StateDep, user: UserDep, body: NewBuild = NewBuild()) -> Response:  # noqa: B008
    """Start a build of one or more instances."""
    project = lookups.find_exactly_one(state, "projects", body.project, body.project_id, errors.NO_PROJECT)
    if not lookups.check_project_access(state, user, project["id"])["write_builds"]:
        raise ApiError(403, errors.NO_BUILD_PERMISSION)
    if not body.instances:
        raise ApiError(400, errors.NO_INSTANCES)
    found = [_find_instance(state, project["id"], one, restore=body.restore) for one in body.instances]
    request = builds.BuildRequest(
        user=user,
        project_id=project["id"],
        instances=list({row["id"]: row for row in found}.values()),
        releases=lookups.find_releases_by_name(state, body.releases or {}),
        description=body.description,
        wait=body.wait,
        restore=body.restore,
    )
    row, warnings = builds.start(state, request)
    if body.wait:
        row = await builds.wait_for_end(state, row["id"])
        if builds.status(row) != "FINISHED" and state.switches.failed_wait == "error":
            raise ApiError(400, row["message"])
    build = _render(state, row)
    if not body.wait and not state.switches.full_create_response:
        build = {"id": build["id"], "status": build["status"]}
    return json_response(state, {"build": build, "warnings": warnings}, state.switches.create_status)


def _render(state: State, row: Row) -> dict[str, Any]:
    return add_odd_values(builds.render(state, row), state.switches.odd_values)


def _find_builds(
    state: State, user: Row, project_id: int | None, user_id: int | None, pattern_id: int | None
) -> list[Row]:
    rows = state.store.all(
        "SELECT builds.* FROM builds JOIN memberships m ON m.project_id = builds.project_id AND m.user_id = ? "
        "WHERE builds.project_id = ifnull(?, builds.project_id) AND builds.user_id = ifnull(?, builds.user_id) "
        "AND (? IS NULL OR EXISTS (SELECT 1 FROM json_each(patterns) WHERE value = ?)) ORDER BY builds.id",
        user["id"],
        project_id,
        user_id,
        pattern_id,
        pattern_id,
    )
    return [row for row in rows if not state.is_new(row["starts"], state.switches.list_delay_seconds)]


def _find_instance(state: State, project_id: int, wanted: InstanceDefinition, *, restore: bool) -> Row:
    names = (wanted.pattern, wanted.folder, wanted.name)
    if (wanted.id is None) == (None in names) or (wanted.id is not None and any(names)):
        raise ApiError(400, errors.INSTANCE_DEFINITION)
    if wanted.id is not None:
        row = state.store.one("SELECT * FROM instances WHERE id = ? AND project_id = ?", wanted.id, project_id)
    else:
        row = state.store.one(
            "SELECT instances.* FROM instances JOIN patterns p ON p.id = instances.pattern_id "
            "JOIN instance_folders f ON f.id = instance_folder_id "
            "WHERE instances.project_id = ? AND p.name = ? AND f.path = ? AND instances.name = ?",
            project_id,
            *names,
        )
    if row is None or (row["deleted"] and not restore):
        raise ApiError(404, errors.INSTANCE_NOT_FOUND)
    if state.switches.unbuildable_instances == "reject" and not lookups.is_buildable(state, row):
        raise ApiError(400, errors.unbuildable_instance(row["name"]))
    return row
