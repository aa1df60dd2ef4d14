"""Read-only lists: projects, patterns, folders, instances, deployments, releases and agents."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel
from starlette.responses import Response

from mkw_airflow_provider.emulator.api import catalog_models as models
from mkw_airflow_provider.emulator.api.common import (
    RELEASES_PARAMETER,
    FlagFilter,
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
from mkw_airflow_provider.emulator.state import errors, lookups
from mkw_airflow_provider.emulator.state.state import State
from mkw_airflow_provider.emulator.state.store import Row

router = APIRouter()

FLAGS = {
    "active",
    "build_disabled",
    "checked_out",
    "closed",
    "deleted",
    "disabled",
    "edit_disabled",
    "insert_disabled",
    "invalid",
    "online",
    "upload_disabled",
}

RESOURCES: dict[str, type[BaseModel]] = {
    "projects": models.Project,
    "patterns": models.Pattern,
    "instance_folders": models.InstanceFolder,
    "instances": models.Instance,
    "deployments": models.Deployment,
    "releases": models.Release,
    "release_groups": models.ReleaseGroup,
    "agents": models.Agent,
    "agent_groups": models.AgentGroup,
}


def list_responses(model: type[BaseModel], *codes: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI description of a list."""
    return responses(list[model], 400, 401, *codes)  # type: ignore[valid-type]


@router.get("/projects", responses=list_responses(models.Project), tags=["Projects"], summary="Find projects")
async def find_projects(state: StateDep, user: UserDep, name: TextFilter = None) -> Response:
    """The projects that the user may view."""
    rows = state.store.all(
        "SELECT projects.* FROM projects JOIN memberships ON project_id = id AND user_id = ? "
        "WHERE name = ifnull(?, name) ORDER BY id",
        user["id"],
        name,
    )
    return _list(state, "projects", rows)


@router.get("/patterns", responses=list_responses(models.Pattern), tags=["Patterns"], summary="Find patterns")
async def find_patterns(state: StateDep, user: UserDep, name: TextFilter = None) -> Response:
    """All patterns."""
    return _list(state, "patterns", state.store.find("patterns", name=name))


@router.get(
    "/instance_folders",
    responses=list_responses(models.InstanceFolder, 403, 404),
    tags=["Instances"],
    summary="Find instance folders",
)
async def find_instance_folders(
    state: StateDep,
    user: UserDep,
    project: TextFilter = None,
    project_id: IdFilter = None,
    pattern: TextFilter = None,
    pattern_id: IdFilter = None,
    name: TextFilter = None,
    deleted: FlagFilter = None,
) -> Response:
    """Folders of one project; exactly one of `project` and `project_id` is required."""
    owner = _find_project(state, user, project, project_id)
    pattern_id = lookups.resolve_filter(state, "patterns", pattern, pattern_id)
    rows = state.store.find("instance_folders", project_id=owner, pattern_id=pattern_id, name=name, deleted=deleted)
    return _list(state, "instance_folders", rows)


@router.get(
    "/instances",
    responses=list_responses(models.Instance, 403, 404),
    tags=["Instances"],
    summary="Find instances",
    openapi_extra={"parameters": [RELEASES_PARAMETER]},
)
async def find_instances(
    request: Request,
    state: StateDep,
    user: UserDep,
    project: TextFilter = None,
    project_id: IdFilter = None,
    pattern: TextFilter = None,
    pattern_id: IdFilter = None,
    folder: TextFilter = None,
    name: TextFilter = None,
    releases: ReleasesFilter = None,
    checked_out: FlagFilter = None,
    checked_out_by_user_id: IdFilter = None,
    checked_out_by_user: TextFilter = None,
    deleted: FlagFilter = None,
    upload_disabled: FlagFilter = None,
    insert_disabled: FlagFilter = None,
    build_disabled: FlagFilter = None,
    edit_disabled: FlagFilter = None,
    invalid: FlagFilter = None,
) -> Response:
    """Instances of one project; exactly one of `project` and `project_id` is required."""
    # Read from the query itself, because either encoding is accepted.
    del releases
    owner = _find_project(state, user, project, project_id)
    named = lookups.find_releases_by_name(state, lookups.parse_releases(request.query_params.multi_items()))
    wanted_releases = {release["id"] for release in named.values()}
    rows = state.store.find(
        "instances",
        project_id=owner,
        pattern_id=lookups.resolve_filter(state, "patterns", pattern, pattern_id),
        name=name,
        checked_out=checked_out,
        checked_out_by_user_id=lookups.resolve_filter(state, "users", checked_out_by_user, checked_out_by_user_id),
        deleted=deleted,
        upload_disabled=upload_disabled,
        insert_disabled=insert_disabled,
        build_disabled=build_disabled,
        edit_disabled=edit_disabled,
        invalid=invalid,
    )
    folders = None if folder is None else {row["id"] for row in state.store.find("instance_folders", path=folder)}
    rows = [
        row
        for row in rows
        if (folders is None or row["instance_folder_id"] in folders)
        and (not wanted_releases or row["release_id"] in wanted_releases)
    ]
    return _list(state, "instances", rows)


@router.get(
    "/deployments", responses=list_responses(models.Deployment, 404), tags=["Deployments"], summary="Find deployments"
)
async def find_deployments(
    state: StateDep,
    user: UserDep,
    pattern: TextFilter = None,
    pattern_id: IdFilter = None,
    name: TextFilter = None,
) -> Response:
    """Deployment definitions. An unknown pattern name is a 404 (documented)."""
    if pattern is not None:
        lookups.by_name(state, "patterns", pattern)
    pattern_id = lookups.resolve_filter(state, "patterns", pattern, pattern_id)
    return _list(state, "deployments", state.store.find("deployments", pattern_id=pattern_id, name=name))


@router.get("/releases", responses=list_responses(models.Release, 404), tags=["Releases"], summary="Find releases")
async def find_releases(
    state: StateDep,
    user: UserDep,
    group: TextFilter = None,
    group_id: IdFilter = None,
    name: TextFilter = None,
    closed: FlagFilter = None,
) -> Response:
    """Releases that match all filters."""
    group_id = lookups.resolve_filter(state, "release_groups", group, group_id)
    return _list(state, "releases", state.store.find("releases", group_id=group_id, name=name, closed=closed))


@router.get(
    "/release_groups", responses=list_responses(models.ReleaseGroup), tags=["Releases"], summary="Find release groups"
)
async def find_release_groups(state: StateDep, user: UserDep, name: TextFilter = None) -> Response:
    """Release groups; the filter by name is an assumption, the page is not known."""
    return _list(state, "release_groups", state.store.find("release_groups", name=name))


@router.get("/agents", responses=list_responses(models.Agent, 404), tags=["Agents"], summary="Find agents")
async def find_agents(
    state: StateDep,
    user: UserDep,
    name: TextFilter = None,
    agent_id: Annotated[str | None, Query(description="The agent's UUID.")] = None,
    online: FlagFilter = None,
    group: TextFilter = None,
    group_id: IdFilter = None,
) -> Response:
    """Agents that match all filters."""
    group_id = lookups.resolve_filter(state, "agent_groups", group, group_id)
    rows = state.store.find("agents", name=name, agent_id=agent_id, online=online, group_id=group_id)
    return _list(state, "agents", rows)


@router.get("/agent_groups", responses=list_responses(models.AgentGroup), tags=["Agents"], summary="Find agent groups")
async def find_agent_groups(state: StateDep, user: UserDep, name: TextFilter = None) -> Response:
    """Agent groups that match the filter."""
    return _list(state, "agent_groups", state.store.find("agent_groups", name=name))


def _getter(resource: str) -> Callable[..., Coroutine[Any, Any, Response]]:
    async def get_one(state: StateDep, user: UserDep, record_id: RecordId) -> Response:
        row = lookups.by_id(state, resource, record_id)
        project_id = row["id"] if resource == "projects" else row.get("project_id")
        if project_id is not None:
            lookups.check_record_access(state, user, project_id, record_id)
        return json_response(state, _render(resource, row))

    get_one.__name__ = f"get_{resource}"
    return get_one


for _resource, _model in RESOURCES.items():
    _word = _resource.replace("_", " ").removesuffix("s")
    router.add_api_route(
        f"/{_resource}/{{record_id}}",
        _getter(_resource),
        responses=responses(_model, 401, 403, 404),
        tags=[_resource.removeprefix("instance_").removeprefix("release_").removeprefix("agent_").capitalize()],
        summary=f"Get one {_word}",
    )


def _find_project(state: State, user: Row, name: str | None, project_id: int | None) -> int:
    project = lookups.find_exactly_one(state, "projects", name, project_id, errors.NO_PROJECT)
    lookups.check_project_access(state, user, project["id"])
    return int(project["id"])


def _list(state: State, resource: str, rows: list[Row]) -> Response:
    return json_list(state, [_render(resource, row) for row in rows])


def _render(resource: str, row: Row) -> dict[str, Any]:
    """Return a row with the fields of its model only: the tables contain more than the API shows."""
    rendered: dict[str, Any] = {
        name: bool(row[name]) if name in FLAGS else row[name] for name in RESOURCES[resource].model_fields
    }
    if "labels" in rendered:
        rendered["labels"] = json.loads(rendered["labels"])
    return rendered
