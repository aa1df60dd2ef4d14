"""POST /authentication: exchange e-mail and password for an access token."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from mkw_airflow_provider.emulator.api.common import StateDep, json_response, responses
from mkw_airflow_provider.emulator.api.request_bodies import Login
from mkw_airflow_provider.emulator.api.response_models import LoginResponse
from mkw_airflow_provider.emulator.state import errors, tokens
from mkw_airflow_provider.emulator.state.errors import ApiError

router = APIRouter(tags=["Authentication"])


@router.post(
    "/authentication",
    status_code=201,
    responses=responses(LoginResponse, 400, 401, status=201),
    summary="Log in",
    openapi_extra={"requestBody": {"required": True}},
)
async def log_in(state: StateDep, login: Login = Login()) -> Response:  # noqa: B008
    """HttpExchange e-mail and password for an access token."""
    for field in ("email", "password"):
        if getattr(login, field) is None:
            raise ApiError(400, errors.required(field))
    if login.strategy != "local":
        raise ApiError(401, errors.NO_STRATEGY)
    user = state.logins.check(str(login.email), str(login.password))
    switches = state.switches
    token = tokens.issue(state.store, user["id"], switches.token_seconds, switches.clock_skew_seconds)
    body = {
        "accessToken": token,
        "authentication": {"strategy": "local", "accessToken": token},
        "user": {"id": user["id"], "email": user["email"]},
    }
    return json_response(state, body, 201)
