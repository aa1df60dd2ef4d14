"""/api/v1/build_deployments: find, get and create build deployments."""

from __future__ import annotations

import asyncio
import json

from fastapi import APIRouter
from starlette.responses import Response

from mkw_airflow_provider.emulator.api.common import (
    IdFilter,
    RecordId,
    StateDep,
    TextFilter,
    UserDep,
    json_list,
    json_response,
    responses,
)
from mkw_airflow_provider.emulator.api.request_bodies import NewBuildDeployment
from mkw_airflow_provider.emulator.api.response_models import BuildDeployment
from mkw_airflow_provider.emulator.state import build_deployments, builds, errors, lookups
from mkw_airflow_provider.emulator.state.errors import ApiError
from mkw_airflow_provider.emulator.state.state import State
from mkw_airflow_provider.emulator.state.store import Row, now

router = APIRouter(prefix="/build_deployments", tags=["Build deployments"])

VISIBLE_TO = (
    "SELECT build_deployments.* FROM build_deployments JOIN builds b ON b.id = build_id "  # noqa: S608
    "JOIN memberships m ON m.project_id = b.project_id AND m.user_id = ? "
    f"WHERE {build_deployments.VISIBLE}"
)


@router.get("", responses=responses(list[BuildDeployment], 400, 401, 404), summary="Find build deployments")
async def find_build_deployments(
    state: StateDep,
    user: UserDep,
    build_id: IdFilter = None,
    pattern: TextFilter = None,
    pattern_id: IdFilter = None,
    deployment: TextFilter = None,
    deployment_id: IdFilter = None,
) -> Response:
    """Build deployments that match all filters, in the projects that the user may view."""
    pattern_id = lookups.resolve_filter(state, "patterns", pattern, pattern_id)
    # A deployment's name may exist once in each pattern.
    named = None if deployment is None else {row["id"] for row in state.store.find("deployments", name=deployment)}
    if named == set() and state.switches.unknown_filter == "404":
        raise ApiError(404, errors.no_name("deployment", deployment or ""))
    rows = state.store.all(f"{VISIBLE_TO} ORDER BY build_deployments.id", user["id"], now())
    wanted = {"build_id": build_id, "pattern_id": pattern_id, "deployment_id": deployment_id}
    found = [
        build_deployments.render(state, row)
        for row in rows
        if all(value is None or row[field] == value for field, value in wanted.items())
        and (named is None or row["deployment_id"] in named)
        and not state.is_new(row["starts"], state.switches.list_delay_seconds)
    ]
    return json_list(state, found)


@router.get("/{record_id}", responses=responses(BuildDeployment, 401, 403, 404), summary="Get a build deployment")
async def get_build_deployment(state: StateDep, user: UserDep, record_id: RecordId) -> Response:
    """One build deployment."""
    row = state.store.one(
        f"SELECT * FROM build_deployments WHERE {build_deployments.VISIBLE} AND id = ?",  # noqa: S608
        now(),
        record_id,
    )
    if row is None or state.is_new(row["starts"], state.switches.read_delay_seconds):
        raise ApiError(404, errors.no_record(record_id))
    lookups.check_record_access(state, user, lookups.by_id(state, "builds", row["build_id"])["project_id"], record_id)
    return json_response(state, build_deployments.render(state, row))


@router.post(
    "",
    status_code=201,
    responses=responses(BuildDeployment, 400, 401, 403, 404, status=201),
    summary="Create a build deployment",
    openapi_extra={"requestBody": {"required": True}},
)
async def create_build_deployment(
    state: StateDep,
    user: UserDep,
    body: NewBuildDeployment = NewBuildDeployment(),  # noqa: B008
) -> Response:
    """Deploy the results of a pattern in a build."""
    if body.build_id is None:
        raise ApiError(400, errors.NO_BUILD_ID)
    agents = (body.agent, body.agent_id, body.agent_group, body.agent_group_id)
    if sum(value is not None for value in agents) > 1:
        raise ApiError(400, errors.AGENT_OR_GROUP)
    pattern, deployment = _find_definition(state, body)
    build = _find_build(state, user, body.build_id)
    if pattern["id"] not in json.loads(build["patterns"]):
        raise ApiError(400, errors.not_in_build(pattern["name"]))
    agent_id, group_id = _find_agent(state, body)
    row = build_deployments.start(
        state,
        user,
        build["id"],
        pattern_id=pattern["id"],
        deployment_id=deployment["id"],
        agent_id=agent_id,
        agent_group_id=group_id,
    )
    if state.switches.deployment_waits:
        await asyncio.sleep(state.switches.deployment_seconds)
    return json_response(state, build_deployments.render(state, row), state.switches.create_status)


def _find_definition(state: State, body: NewBuildDeployment) -> tuple[Row, Row]:
    """Return the pattern and its deployment; several patterns may have deployments of the same name."""
    if body.pattern is None and body.pattern_id is None:
        raise ApiError(400, errors.NO_PATTERN)
    if body.deployment is None and body.deployment_id is None:
        raise ApiError(400, errors.NO_DEPLOYMENT)
    if body.deployment is not None and body.deployment_id is not None:
        raise ApiError(400, errors.not_both("deployment"))
    pattern = lookups.find_exactly_one(state, "patterns", body.pattern, body.pattern_id, errors.NO_PATTERN)
    found = state.store.find("deployments", pattern_id=pattern["id"], name=body.deployment, id=body.deployment_id)
    if found:
        return pattern, found[0]
    missing = errors.no_record(body.deployment_id)
    raise ApiError(404, missing if body.deployment is None else errors.no_name("deployment", body.deployment))


def _find_build(state: State, user: Row, build_id: int) -> Row:
    """Return the build, if the user may deploy it and it can be deployed."""
    build = state.store.get("builds", build_id)
    if build is None:
        raise ApiError(404, errors.BUILD_NOT_FOUND)
    try:
        membership = lookups.check_project_access(state, user, build["project_id"])
    except ApiError:
        if state.switches.foreign_record == 403:
            raise
        raise ApiError(404, errors.BUILD_NOT_FOUND) from None
    if state.switches.deploy_permission == "write_builds" and not membership["write_builds"]:
        raise ApiError(403, errors.NO_DEPLOY_PERMISSION)
    if state.switches.deploy_unfinished_build == "reject" and builds.status(build) != "FINISHED":
        raise ApiError(400, errors.BUILD_NOT_FINISHED)
    return build


def _find_agent(state: State, body: NewBuildDeployment) -> tuple[int | None, int | None]:
    """Return the ids of the agent and of the agent group that shall run the deployment."""
    if body.agent is not None:
        return int(lookups.by_name(state, "agents", body.agent)["id"]), None
    if body.agent_id is not None:
        return int(lookups.by_id(state, "agents", body.agent_id)["id"]), None
    if body.agent_group is not None:
        return None, int(lookups.by_name(state, "agent_groups", body.agent_group)["id"])
    if body.agent_group_id is not None:
        return None, int(lookups.by_id(state, "agent_groups", body.agent_group_id)["id"])
    return None, None
