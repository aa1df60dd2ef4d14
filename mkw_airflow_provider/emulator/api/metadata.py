"""POST /api/v1/metadata: run a SQL statement in a project's meta database."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from mkw_airflow_provider.emulator.api.common import StateDep, UserDep, json_response, responses
from mkw_airflow_provider.emulator.api.request_bodies import NewQuery
from mkw_airflow_provider.emulator.api.response_models import QueryResult
from mkw_airflow_provider.emulator.state import errors, lookups, metadata
from mkw_airflow_provider.emulator.state.errors import ApiError

router = APIRouter(prefix="/metadata", tags=["Metadata"])


@router.post(
    "",
    status_code=201,
    responses=responses(QueryResult, 400, 401, 403, 404, status=201),
    summary="Run a SQL statement",
    openapi_extra={"requestBody": {"required": True}},
)
async def run_statement(state: StateDep, user: UserDep, body: NewQuery = NewQuery()) -> Response:  # noqa: B008
    """Run a SELECT on @INFORMATION_SCHEMA.INSTANCES, .COMMITS or .DELIVERIES. A SQL error is the status ERROR."""
    project = lookups.find_exactly_one(state, "projects", body.project, body.project_id, errors.NO_PROJECT)
    lookups.check_project_access(state, user, project["id"])
    if body.statement is None:
        raise ApiError(400, errors.NO_STATEMENT)
    result = metadata.query(state, project["id"], user["id"], body.statement)
    if result["status"] == "ERROR" and state.switches.metadata_error == "400":
        raise ApiError(400, result["message"])
    response = [result] if state.switches.metadata_response == "array" else result
    return json_response(state, response, state.switches.create_status)
