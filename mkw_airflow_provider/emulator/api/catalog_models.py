"""Response models of the read-only lists, for the OpenAPI description and for the fields that are shown."""

from __future__ import annotations

from pydantic import BaseModel

Flag = int | bool


class Project(BaseModel):
    """A project."""

    id: int
    name: str
    deleted: Flag
    disabled: Flag


class Pattern(BaseModel):
    """A pattern."""

    id: int
    name: str
    description: str | None = None
    type: str
    vers_no: str
    status: str
    active: Flag
    deleted: Flag
    disabled: Flag
    release_group_id: int


class InstanceFolder(BaseModel):
    """A folder of instances."""

    id: int
    project_id: int
    pattern_id: int
    parent_folder_id: int | None = None
    name: str
    path: str
    deleted: Flag
    upload_disabled: Flag
    insert_disabled: Flag
    build_disabled: Flag
    edit_disabled: Flag


class Instance(BaseModel):
    """An instance. Only a part of its documented fields is known."""

    id: int
    customer_id: int
    name: str
    project_id: int
    pattern_id: int
    errors: int
    instance_folder_id: int
    version: int
    description: str | None = None
    release_id: int | None = None
    identity_id: int | None = None
    user_id: int | None = None
    latest_commit_id: int | None = None
    labels: list[str]
    deleted: Flag
    checked_out: Flag
    checked_out_by_user_id: int | None = None
    upload_disabled: Flag
    insert_disabled: Flag
    build_disabled: Flag
    edit_disabled: Flag
    invalid: Flag


class Deployment(BaseModel):
    """A deployment definition."""

    id: int
    pattern_id: int
    name: str


class Release(BaseModel):
    """A release."""

    id: int
    group_id: int
    name: str
    description: str | None = None
    start_date: str | None = None
    end_date: str | None = None
    closed: Flag
    deleted: Flag
    hotfix_of_id: int | None = None
    prev_release_id: int | None = None


class ReleaseGroup(BaseModel):
    """A release group. Its fields are not documented."""

    id: int
    name: str
    description: str | None = None


class Agent(BaseModel):
    """An agent: `id` is a number, `agent_id` its UUID."""

    id: int
    agent_id: str
    name: str
    deleted: Flag
    disabled: Flag
    online: Flag
    group_id: int | None = None


class AgentGroup(BaseModel):
    """An agent group."""

    id: int
    name: str
    description: str | None = None
