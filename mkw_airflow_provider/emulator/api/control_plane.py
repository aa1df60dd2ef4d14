"""/_emulator: the control plane, with which tests steer and inspect the emulator."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Depends, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from mkw_airflow_provider.emulator.api.common import RecordId, StateDep
from mkw_airflow_provider.emulator.faults.faults import FaultRequest, Faults
from mkw_airflow_provider.emulator.http.connections import Connections
from mkw_airflow_provider.emulator.state import build_deployments, builds, seed
from mkw_airflow_provider.emulator.state.errors import ApiError
from mkw_airflow_provider.emulator.state.seed_format import LARGEST_ID, SeedError, check_seed
from mkw_airflow_provider.emulator.state.state import State
from mkw_airflow_provider.emulator.state.store import Row, iso, now

router = APIRouter()


async def get_faults_of_app(request: Request) -> Faults:
    """Return the emulator's faults."""
    faults: Faults = request.app.state.faults
    return faults


async def get_connections_of_app(request: Request) -> Connections:
    """Return the clients' connections."""
    connections: Connections = request.app.state.connections
    return connections


FaultsDep = Annotated[Faults, Depends(get_faults_of_app)]
ConnectionsDep = Annotated[Connections, Depends(get_connections_of_app)]

Ending = Literal["FINISHED", "FAILED", "CANCELED"]


class ControlBody(BaseModel):
    """Base of all bodies; unknown fields are errors."""

    model_config = ConfigDict(extra="forbid")


class BuildEnd(ControlBody):
    """How a person ends a build; without a message it gets the default one."""

    status: Ending = "CANCELED"
    message: str | None = None


class ManualBuild(ControlBody):
    """A build that a person starts: ``instances`` holds names or ids, ``user`` a user name."""

    project: str
    instances: Annotated[list[str | int], Field(min_length=1)]
    user: str = "demo"
    description: str | None = None


class InstanceChange(ControlBody):
    """How the next builds of an instance behave; ``build_seconds`` null means the switch of this name.

    ``changed``: its metadata was edited, so the next build generates other content.
    """

    build_seconds: Annotated[float, Field(ge=0)] | None = None
    outcome: Ending | None = None
    changed: bool = False


class UserChange(ControlBody):
    """A new password."""

    password: Annotated[str, Field(min_length=1)]


class DownloadChange(ControlBody):
    """Another name or content; ``size`` null is the generated file."""

    name: Annotated[str, Field(min_length=1)] | None = None
    size: Annotated[int, Field(ge=0, le=LARGEST_ID)] | None = None


def json_response(value: Any) -> Response:
    """Return JSON in ASCII, because tests may have sent invalid Unicode."""
    return Response(json.dumps(value), media_type="application/json")


@router.get("/health")
async def health(state: StateDep) -> Response:
    """Tell whether the emulator is up."""
    return json_response({"status": "up", "time": iso(now())})


@router.post("/reset")
async def reset(state: StateDep, faults: FaultsDep) -> Response:
    """Restore the seed and remove all faults."""
    state.reset()
    faults.clear()
    return json_response({})


@router.get("/requests")
async def get_requests(state: StateDep, method: str | None = None, path: str | None = None) -> Response:
    """Return the request log, oldest first."""
    return json_response(state.log.find(method, path))


@router.delete("/requests")
async def clear_requests(state: StateDep) -> Response:
    """Empty the request log."""
    state.log.clear()
    return json_response({})


@router.get("/switches")
async def get_switches(state: StateDep) -> Response:
    """Return all switches."""
    return json_response(state.switches.to_dict())


@router.patch("/switches")
async def change_switches(state: StateDep, values: Annotated[dict[str, Any], Body()]) -> Response:
    """Change some switches."""
    try:
        state.switches.change(**values)
    except ValueError as error:
        raise ApiError(400, str(error)) from None
    return json_response(state.switches.to_dict())


@router.get("/faults")
async def get_faults(faults: FaultsDep) -> Response:
    """Return all faults and their hits."""
    return json_response(faults.to_list())


@router.post("/faults")
async def add_fault(faults: FaultsDep, body: FaultRequest) -> Response:
    """Add a fault."""
    return json_response(faults.add(body).to_dict())


@router.delete("/faults/{fault_id}")
async def remove_fault(faults: FaultsDep, fault_id: int) -> Response:
    """Remove one fault and return it with its hits."""
    fault = faults.remove(fault_id)
    if fault is None:
        raise ApiError(404, f"No fault {fault_id}")
    return json_response(fault.to_dict())


@router.delete("/faults")
async def clear_faults(faults: FaultsDep) -> Response:
    """Remove all faults."""
    faults.clear()
    return json_response([])


@router.get("/builds")
async def get_builds(state: StateDep) -> Response:
    """Return all builds, with more than the API shows."""
    return json_response([_render_build(state, row) for row in state.store.find("builds")])


@router.post("/builds")
async def start_build(state: StateDep, body: ManualBuild) -> Response:
    """Start a build as a person does in the web application."""
    project = _find_by_name(state, "projects", body.project)
    instances = [_find_instance(state, [project], wanted) for wanted in body.instances]
    user = _find_by_name(state, "users", body.user)
    row, _ = builds.start(state, builds.BuildRequest(user, project["id"], instances, description=body.description))
    return json_response(_render_build(state, row))


@router.post("/builds/{record_id}/end")
async def end_build(state: StateDep, record_id: RecordId, body: BuildEnd) -> Response:
    """End a build now, as a person does in the web application."""
    row = _find_record(state, "builds", record_id)
    if builds.status(row) != "BUILDING":
        raise ApiError(409, f"Build {record_id} has already ended: {row['outcome']}")
    builds.end(state, row, body.status, body.message)
    return json_response(_render_build(state, _find_record(state, "builds", record_id)))


@router.delete("/builds/{record_id}")
async def delete_build(state: StateDep, record_id: RecordId) -> Response:
    """Delete a build with its downloads and deployments."""
    _find_record(state, "builds", record_id)
    state.store.execute("DELETE FROM builds WHERE id = ?", record_id)
    state.builds_changed()
    return json_response({})


@router.get("/build_deployments")
async def get_build_deployments(state: StateDep) -> Response:
    """Return all build deployments, with status, user and origin, which the API does not show."""
    rows = state.store.all(f"SELECT * FROM build_deployments WHERE {build_deployments.VISIBLE} ORDER BY id", now())  # noqa: S608
    return json_response([_render_deployment(state, row) for row in rows])


@router.get("/downloads")
async def get_downloads(state: StateDep) -> Response:
    """Return all downloads, including those of unfinished builds."""
    return json_response(state.store.find("downloads"))


@router.patch("/downloads/{record_id}")
async def change_download(state: StateDep, record_id: RecordId, change: DownloadChange) -> Response:
    """Give a download another name or another content."""
    _find_record(state, "downloads", record_id)
    for column in change.model_fields_set:
        value = getattr(change, column)
        state.store.execute(f"UPDATE downloads SET {column} = ? WHERE id = ?", value, record_id)  # noqa: S608
    return json_response(_find_record(state, "downloads", record_id))


@router.patch("/instances/{wanted}")
async def change_instance(state: StateDep, wanted: str, change: InstanceChange, project: str | None = None) -> Response:
    """Decide how the next builds of an instance, given by id or name, end and how long they take."""
    projects = state.store.find("projects") if project is None else [_find_by_name(state, "projects", project)]
    record_id = _find_instance(state, projects, int(wanted) if wanted.isdecimal() else wanted)["id"]
    if change.changed:
        state.store.execute("UPDATE instances SET revision = revision + 1 WHERE id = ?", record_id)
    for column in change.model_fields_set - {"changed"}:
        value = getattr(change, column)
        state.store.execute(f"UPDATE instances SET {column} = ? WHERE id = ?", value, record_id)  # noqa: S608
    return json_response(_find_record(state, "instances", record_id))


@router.patch("/users/{email}")
async def change_user(state: StateDep, email: str, body: UserChange) -> Response:
    """Change a user's password."""
    if not state.store.execute("UPDATE users SET password = ? WHERE email = ?", body.password, email):
        known = ", ".join(user["email"] for user in state.store.find("users"))
        raise ApiError(404, f"Unknown user {email}. Users: {known}")
    return json_response({"email": email})


@router.post("/seed")
async def add_records(state: StateDep, body: Annotated[dict[str, Any], Body()]) -> Response:
    """Add records in the form of a seed; existing projects, patterns and groups may be named as containers."""
    try:
        check_seed(body)
        return json_response(seed.add(state.store, body))
    except SeedError as error:
        raise ApiError(400, str(error)) from None


@router.get("/tokens")
async def get_tokens(state: StateDep) -> Response:
    """Return the tokens issued since the last reset, in full, to search logs and files for them."""
    rows = state.store.all("SELECT token, user_id, issued, expires FROM tokens WHERE earlier = 0 ORDER BY issued")
    return json_response([row | {"issued": iso(row["issued"]), "expires": iso(row["expires"])} for row in rows])


@router.post("/tokens/expire")
async def expire_tokens(state: StateDep) -> Response:
    """Expire all tokens issued so far."""
    state.store.execute("UPDATE tokens SET expires = min(expires, ?)", now())
    return json_response({})


@router.get("/connections")
async def get_connections(connections: ConnectionsDep) -> Response:
    """Return how many connections clients have opened, and how many are open now."""
    return json_response(connections.to_dict())


def _find_record(state: State, table: str, record_id: int) -> Row:
    row = state.store.get(table, record_id)
    if row is None:
        raise ApiError(404, f"No row {record_id} in {table}")
    return row


def _find_by_name(state: State, table: str, name: str) -> Row:
    rows = state.store.find(table, name=name)
    if not rows:
        names = ", ".join(row["name"] for row in state.store.find(table))
        raise ApiError(404, f"'{name}' is not in {table}: {names}")
    return rows[0]


def _find_instance(state: State, projects: Sequence[Row], wanted: str | int) -> Row:
    key = {"id": wanted} if isinstance(wanted, int) else {"name": wanted}
    found = [row for one in projects for row in state.store.find("instances", project_id=one["id"], deleted=0, **key)]
    names = ", ".join(project["name"] for project in projects)
    if not found:
        raise ApiError(404, f"No instance '{wanted}' in project {names}")
    if len({row["project_id"] for row in found}) > 1:
        raise ApiError(400, f"Instance '{wanted}' is in several projects; name one of {names} as `project`")
    return found[0]


def _render_build(state: State, row: Row) -> dict[str, Any]:
    """Return a build as the API shows it, with names and more."""
    user = state.store.get("users", row["user_id"]) or {}
    project = state.store.get("projects", row["project_id"]) or {}
    more = {
        "user": user.get("name"),
        "project": project.get("name"),
        "instance_ids": json.loads(row["instance_ids"]),
        "instance_names": json.loads(row["instance_names"]),
        "wait": bool(row["wait"]),
        "restore": bool(row["restore"]),
        "outcome": row["outcome"],
        "seconds": (row["ends"] - row["starts"]) / 1000,
    }
    return builds.render(state, row) | more


def _render_deployment(state: State, row: Row) -> dict[str, Any]:
    return build_deployments.render(state, row) | {
        "status": build_deployments.status(row),
        "user_id": row["user_id"],
        "automatic": bool(row["automatic"]),
        "created_at": iso(row["starts"]),
    }
