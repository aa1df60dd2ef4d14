"""POST /authentication: e-mail and password for an access token."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from mkw_airflow_provider.emulator import errors, tokens
from mkw_airflow_provider.emulator.errors import ApiError
from mkw_airflow_provider.emulator.models.answers import LoginAnswer
from mkw_airflow_provider.emulator.models.bodies import Login
from mkw_airflow_provider.emulator.routes.common import StateDep, answers, reply

router = APIRouter(tags=["Authentication"])


@router.post(
    "/authentication",
    status_code=201,
    responses=answers(LoginAnswer, 400, 401, status=201),
    summary="Log in",
    openapi_extra={"requestBody": {"required": True}},
)
async def log_in(state: StateDep, login: Login = Login()) -> Response:  # noqa: B008
    """Exchange e-mail and password for an access token."""
    for field in ("email", "password"):
        if getattr(login, field) is None:
            raise ApiError(400, errors.required(field))
    if login.strategy != "local":
        raise ApiError(401, errors.NO_STRATEGY)
    user = state.store.one("SELECT * FROM users WHERE email = ? AND password = ?", login.email, login.password)
    if user is None:
        raise ApiError(401, errors.INVALID_LOGIN)
    token = tokens.issue(state.store, user["id"], state.switches.token_seconds)
    answer = {
        "accessToken": token,
        "authentication": {"strategy": "local", "accessToken": token},
        "user": {"id": user["id"], "email": user["email"]},
    }
    return reply(state, answer, 201)
