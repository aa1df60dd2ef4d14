"""PUT, PATCH and DELETE on builds and build deployments: documented as "Not implemented"."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from mkw_airflow_provider.emulator.api.common import StateDep, UserDep
from mkw_airflow_provider.emulator.state import errors
from mkw_airflow_provider.emulator.state.errors import ApiError

router = APIRouter(include_in_schema=False)


@router.api_route("/builds", methods=["PUT", "PATCH", "DELETE"])
@router.api_route("/build_deployments", methods=["PUT", "PATCH", "DELETE"])
async def refuse_all(state: StateDep, user: UserDep) -> Response:
    """Refuse to change a collection."""
    raise ApiError(state.switches.not_implemented_status, errors.NOT_IMPLEMENTED, {"allow": "GET, POST"})


@router.api_route("/builds/{record_id}", methods=["PUT", "PATCH", "DELETE"])
@router.api_route("/build_deployments/{record_id}", methods=["PUT", "PATCH", "DELETE"])
async def refuse_one(state: StateDep, user: UserDep, record_id: str) -> Response:
    """Refuse to change one record."""
    del record_id
    raise ApiError(state.switches.not_implemented_status, errors.NOT_IMPLEMENTED, {"allow": "GET"})
