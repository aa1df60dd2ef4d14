"""What the endpoints share: dependencies, filters, and the form of responses."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import Depends, Path, Query, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel
from starlette.responses import Response

from mkw_airflow_provider.emulator.api.middleware import CALLER
from mkw_airflow_provider.emulator.api.response_models import Error
from mkw_airflow_provider.emulator.http.error_response import reason_phrase
from mkw_airflow_provider.emulator.state import errors
from mkw_airflow_provider.emulator.state.errors import ApiError
from mkw_airflow_provider.emulator.state.seed_format import LARGEST_ID
from mkw_airflow_provider.emulator.state.state import State
from mkw_airflow_provider.emulator.state.store import Row

# Flags that builds send as integers; all other resources send booleans.
BUILD_FLAGS = {"history_commited", "active", "deliveries_calculated", "commit_ind", "deleted"}

bearer = HTTPBearer(auto_error=False, bearerFormat="JWT", description="The `accessToken` of POST /authentication.")


async def get_state(request: Request) -> State:
    """Return the emulator's state."""
    state: State = request.app.state.emulator
    return state


async def current_user(
    request: Request, _: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)] = None
) -> Row:
    """Return the user whose token came with the request.

    :raises ApiError: 401 without a valid token.
    """
    caller = request.scope[CALLER]
    if caller.user is None:
        switches = request.app.state.emulator.switches
        raise ApiError(401, switches.expired_message if caller.expired else errors.NOT_AUTHENTICATED)
    user: Row = caller.user
    return user


async def reject_unknown_query(request: Request) -> None:
    """Refuse query parameters that the endpoint does not have, unless the switch ``unknown_query`` allows them.

    :raises ApiError: 400 for one.
    """
    if not request.query_params or request.app.state.emulator.switches.unknown_query == "ignore":
        return
    known = {field.alias for field in request.scope["route"].dependant.query_params}
    for name in request.query_params:
        # releases[GROUP]=R1 is one encoding of the parameter releases.
        if name.partition("[")[0] not in known or ("[" in name and not name.startswith("releases[")):
            raise ApiError(400, errors.unknown_query(name))


StateDep = Annotated[State, Depends(get_state)]
UserDep = Annotated[Row, Depends(current_user)]

IdFilter = Annotated[int | None, Query(ge=0, le=LARGEST_ID)]
TextFilter = Annotated[str | None, Query()]
FlagFilter = Annotated[bool | None, Query()]
RecordId = Annotated[int, Path(ge=0, le=LARGEST_ID)]

# The parameter has two encodings, so the endpoints read it from the query; this only declares its name.
ReleasesFilter = Annotated[str | None, Query(include_in_schema=False)]
RELEASES_PARAMETER = {
    "name": "releases",
    "in": "query",
    "required": False,
    "description": "Release group names and release names, as `releases[GROUP]=NAME`. A JSON object is accepted too.",
    "style": "deepObject",
    "explode": True,
    "schema": {"type": "object", "additionalProperties": {"type": "string"}},
}


def error_responses(*codes: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI description of an endpoint's errors."""
    return {code: {"model": Error, "description": reason_phrase(code)} for code in codes}


def responses(model: type[BaseModel] | Any, *codes: int, status: int = 200) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI description of an endpoint's success and its errors."""
    return {status: {"model": model, "description": reason_phrase(status)}, **error_responses(*codes)}


def json_response(state: State, value: Any, status: int = 200) -> Response:
    """Return a JSON response with flags and nulls as the switches say.

    :param value: an object or an array of the API.
    """
    shaped = _apply_switches(value, state.switches.flags, drop_nulls=state.switches.nulls == "missing")
    return Response(json.dumps(shaped, separators=(",", ":")), status, media_type="application/json")


def json_list(state: State, rows: list[dict[str, Any]]) -> Response:
    """Return a list as JSON, limited as the switch ``list_limit`` says."""
    return json_response(state, rows[: state.switches.list_limit or None])


def _apply_switches(value: Any, flags: str, *, drop_nulls: bool) -> Any:
    if flags == "documented" and not drop_nulls:
        return value
    if isinstance(value, list):
        return [_apply_switches(item, flags, drop_nulls=drop_nulls) for item in value]
    if isinstance(value, dict):
        return {
            name: _flag(name, _apply_switches(item, flags, drop_nulls=drop_nulls), flags)
            for name, item in value.items()
            if not (drop_nulls and item is None)
        }
    return value


def _flag(name: str, value: Any, flags: str) -> Any:
    if flags == "integer" and isinstance(value, bool):
        return int(value)
    if flags == "boolean" and name in BUILD_FLAGS and isinstance(value, int):
        return bool(value)
    return value
