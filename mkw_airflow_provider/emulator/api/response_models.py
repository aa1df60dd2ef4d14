"""Response models of logins, builds, build deployments and downloads, for the OpenAPI description only."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field

Flag = int | bool


class Error(BaseModel):
    """An error as FeathersJS sends it; the switch `error_body` has other shapes."""

    name: str
    message: str
    code: int
    className: str  # noqa: N815


class LoginAuthentication(BaseModel):
    """Part of a login's response."""

    strategy: str
    accessToken: str  # noqa: N815


class LoginUser(BaseModel):
    """Part of a login's response."""

    id: int
    email: str


class LoginResponse(BaseModel):
    """Response of POST /authentication."""

    accessToken: str  # noqa: N815
    authentication: LoginAuthentication
    user: LoginUser


class BuildDownload(BaseModel):
    """A download as listed in a build."""

    id: int
    pattern: str
    pattern_id: int
    file_id: int | None = None
    name: str


class Build(BaseModel):
    """A build. Only `id` and `status` are in every response."""

    id: int
    customer_id: int | None = None
    user_id: int | None = None
    project_id: int | None = None
    progress: Annotated[int, Field(ge=0, le=100)] | None = None
    status: Annotated[str, Field(json_schema_extra={"enum": ["BUILDING", "FINISHED", "FAILED", "CANCELED"]})]
    message: str | None = None
    build_start: str | None = None
    build_end: str | None = None
    created_at: str | None = None
    updated_at: str | None = None
    history_commited: Flag | None = None
    version: int | None = None
    active: Flag | None = None
    mts: int | None = None
    name: str | None = None
    deliveries_calculated: Flag | None = None
    description: str | None = None
    commit_ind: Flag | None = None
    deleted: Flag | None = None
    instances: int | None = None
    patterns: list[int] | None = None
    releases: list[int] | None = None
    downloads: list[BuildDownload] | None = None


class CreatedBuild(BaseModel):
    """Response of POST /builds."""

    build: Build
    warnings: list[str]


class QueryResult(BaseModel):
    """Result of a SQL statement; `message` is present with the status ERROR."""

    id: str
    user_id: int
    type: str
    sql: str
    stmt_no: int
    start_time: int
    status: str
    message: str | None = None
    rows: list[dict[str, Any]]
    metadata: list[dict[str, Any]]


class BuildDeployment(BaseModel):
    """A build deployment. `status` and `message` are present only with the switch `deployment_status`."""

    id: int
    build_id: int
    pattern_id: int
    deployment_id: int
    upload_id: int | None = None
    agent_id: int | None = None
    agent_group_id: int | None = None
    status: str | None = None
    message: str | None = None


class Download(BaseModel):
    """A download as listed by GET /downloads."""

    id: int
    customer_id: int
    pattern_id: int
    name: str
    file_name: str
    type: str
    build_id: int
    project_id: int
    version: int
    upload_id: int
    file_id: int | None = None
    downloaded: int
    instance_id: int | None = None
