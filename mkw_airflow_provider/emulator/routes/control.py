"""/_emulator: what a test asks the emulator, and what it tells it to do."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from mkw_airflow_provider.emulator import build_deployments, builds, seed
from mkw_airflow_provider.emulator.errors import ApiError
from mkw_airflow_provider.emulator.faults import FaultOrder
from mkw_airflow_provider.emulator.models.bodies import LARGEST_ID
from mkw_airflow_provider.emulator.routes.common import RecordId, StateDep
from mkw_airflow_provider.emulator.state import State
from mkw_airflow_provider.emulator.store import Row, iso, now

router = APIRouter()

Ending = Literal["FINISHED", "FAILED", "CANCELED"]


class _Order(BaseModel):
    model_config = ConfigDict(extra="forbid")


class BuildEnd(_Order):
    """How a person ends a build. Without a message it gets a usual one."""

    status: Ending = "CANCELED"
    message: str | None = None


class PersonsBuild(_Order):
    """A build that a person starts: ``instances`` holds names or ids, ``user`` a user name."""

    project: str
    instances: Annotated[list[str | int], Field(min_length=1)]
    user: str = "demo"
    description: str | None = None


class InstanceChange(_Order):
    """How the next builds with an instance go; ``build_seconds`` null is the switch of this name."""

    build_seconds: Annotated[float, Field(ge=0)] | None = None
    outcome: Ending | None = None


class DownloadChange(_Order):
    """Another name or content; ``size`` null is the generated file."""

    name: Annotated[str, Field(min_length=1)] | None = None
    size: Annotated[int, Field(ge=0, le=LARGEST_ID)] | None = None


def answer(value: Any) -> Response:
    """JSON in ASCII: what tests send may be no valid Unicode."""
    return Response(json.dumps(value), media_type="application/json")


@router.get("/health")
async def health(state: StateDep) -> Response:
    """Whether the emulator is up."""
    return answer({"status": "up", "time": iso(now())})


@router.post("/reset")
async def reset(state: StateDep) -> Response:
    """Back to the seed."""
    state.reset()
    return answer({})


@router.get("/requests")
async def get_requests(state: StateDep, method: str | None = None, path: str | None = None) -> Response:
    """The log of requests, oldest first."""
    return answer(state.log.find(method, path))


@router.delete("/requests")
async def clear_requests(state: StateDep) -> Response:
    """Empty the log."""
    state.log.clear()
    return answer({})


@router.get("/switches")
async def get_switches(state: StateDep) -> Response:
    """All switches."""
    return answer(state.switches.to_dict())


@router.patch("/switches")
async def change_switches(state: StateDep, values: Annotated[dict[str, Any], Body()]) -> Response:
    """Set some switches."""
    try:
        state.switches.change(**values)
    except ValueError as error:
        raise ApiError(400, str(error)) from None
    return answer(state.switches.to_dict())


@router.get("/faults")
async def get_faults(state: StateDep) -> Response:
    """All faults and their hits."""
    return answer(state.faults.to_list())


@router.post("/faults")
async def add_fault(state: StateDep, order: FaultOrder) -> Response:
    """Set a fault."""
    return answer(state.faults.add(order).to_dict())


@router.delete("/faults")
async def clear_faults(state: StateDep) -> Response:
    """Remove all faults."""
    state.faults.clear()
    return answer([])


@router.get("/builds")
async def get_builds(state: StateDep) -> Response:
    """All builds with what the API does not show of them."""
    return answer([_build(state, row) for row in state.store.find("builds")])


@router.post("/builds")
async def start_build(state: StateDep, order: PersonsBuild) -> Response:
    """Start a build as a person does in the web application."""
    project = _named(state, "projects", order.project)
    instances = [_instance(state, project["id"], wanted) for wanted in order.instances]
    user = _named(state, "users", order.user)
    row, _ = builds.start(state, builds.Order(user, project["id"], instances, description=order.description))
    return answer(_build(state, row))


@router.post("/builds/{record_id}/end")
async def end_build(state: StateDep, record_id: RecordId, order: BuildEnd) -> Response:
    """End a build now, as a person does in the web application."""
    row = _record(state, "builds", record_id)
    if builds.status(row) != "BUILDING":
        raise ApiError(409, f"Build {record_id} has ended already: {row['outcome']}")
    builds.end(state, row, order.status, order.message)
    return answer(_build(state, _record(state, "builds", record_id)))


@router.delete("/builds/{record_id}")
async def delete_build(state: StateDep, record_id: RecordId) -> Response:
    """Remove a build with its downloads and deployments."""
    _record(state, "builds", record_id)
    state.store.execute("DELETE FROM builds WHERE id = ?", record_id)
    state.builds_changed()
    return answer({})


@router.get("/build_deployments")
async def get_build_deployments(state: StateDep) -> Response:
    """All build deployments, with the status, user and origin that the API does not show."""
    rows = state.store.all(f"SELECT * FROM build_deployments WHERE {build_deployments.VISIBLE} ORDER BY id", now())  # noqa: S608
    return answer([_build_deployment(state, row) for row in rows])


@router.get("/downloads")
async def get_downloads(state: StateDep) -> Response:
    """All downloads, those of unfinished builds too."""
    return answer(state.store.find("downloads"))


@router.patch("/downloads/{record_id}")
async def change_download(state: StateDep, record_id: RecordId, change: DownloadChange) -> Response:
    """Give a download another name or another content."""
    _record(state, "downloads", record_id)
    for column in change.model_fields_set:
        value = getattr(change, column)
        state.store.execute(f"UPDATE downloads SET {column} = ? WHERE id = ?", value, record_id)  # noqa: S608
    return answer(_record(state, "downloads", record_id))


@router.patch("/instances/{record_id}")
async def change_instance(state: StateDep, record_id: RecordId, change: InstanceChange) -> Response:
    """Say how the next builds with an instance go."""
    _record(state, "instances", record_id)
    for column in change.model_fields_set:
        value = getattr(change, column)
        state.store.execute(f"UPDATE instances SET {column} = ? WHERE id = ?", value, record_id)  # noqa: S608
    return answer(_record(state, "instances", record_id))


@router.get("/tokens")
async def get_tokens(state: StateDep) -> Response:
    """The tokens issued since the last reset, in full: to search logs and files for them."""
    rows = state.store.all("SELECT token, user_id, issued, expires FROM tokens WHERE earlier = 0 ORDER BY issued")
    return answer([row | {"issued": iso(row["issued"]), "expires": iso(row["expires"])} for row in rows])


@router.post("/tokens/expire")
async def expire_tokens(state: StateDep) -> Response:
    """Let all tokens issued so far expire now."""
    state.store.execute("UPDATE tokens SET expires = min(expires, ?)", now())
    return answer({})


@router.get("/connections")
async def get_connections(state: StateDep) -> Response:
    """How many connections clients have made, and how many are open."""
    return answer(state.connections.to_dict())


def _record(state: State, table: str, record_id: int) -> Row:
    row = state.store.get(table, record_id)
    if row is None:
        raise ApiError(404, f"There is no row {record_id} in {table}")
    return row


def _named(state: State, table: str, name: str) -> Row:
    rows = state.store.find(table, name=name)
    if not rows:
        names = ", ".join(row["name"] for row in state.store.find(table))
        raise ApiError(404, f"'{name}' is not in {table}: {names}")
    return rows[0]


def _instance(state: State, project_id: int, wanted: str | int) -> Row:
    key = {"id": wanted} if isinstance(wanted, int) else {"name": wanted}
    rows = state.store.find("instances", project_id=project_id, deleted=0, **key)
    if not rows:
        raise ApiError(404, f"There is no instance '{wanted}' in project {seed.PROJECTS[project_id]}")
    return rows[0]


def _build(state: State, row: Row) -> dict[str, Any]:
    """A build as the API shows it, with names and orders besides."""
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
    return builds.view(state, row) | more


def _build_deployment(state: State, row: Row) -> dict[str, Any]:
    return build_deployments.view(state, row) | {
        "status": build_deployments.status(row),
        "user_id": row["user_id"],
        "automatic": bool(row["automatic"]),
        "created_at": iso(row["starts"]),
    }
