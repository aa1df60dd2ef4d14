"""The bodies of requests, as the documentation of the API describes them."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from mkw_airflow_provider.emulator.state.seed_format import LARGEST_ID


def _whole(value: Any) -> Any:
    """Accept 402.0 as 402: JSON has one kind of number."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Id = Annotated[int, Field(ge=0, le=LARGEST_ID), BeforeValidator(_whole)]
Text = Annotated[str, Field(min_length=1, max_length=4000)]


class Body(BaseModel):
    """A request's body.

    Fields are checked strictly, unknown ones are errors, and null is not a value: what passes here also passes a
    strict server.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _no_nulls(cls, data: Any) -> Any:
        if isinstance(data, dict):
            for name, value in data.items():
                if value is None:
                    raise ValueError(f"'{name}' must not be null")
        return data


def _optional(description: str) -> Any:
    """Declare a field that may be missing but not null."""

    def only_value(schema: dict[str, Any]) -> None:
        schema.pop("default", None)
        kinds = [kind for kind in schema.pop("anyOf", []) if kind.get("type") != "null"]
        for kind in kinds:
            schema.update(kind)

    return Field(default=None, description=description, json_schema_extra=only_value)


def _one_of(*names: str) -> dict[str, Any]:
    return {"oneOf": [{"required": [name]} for name in names]}


def _at_most_one_of(*names: str) -> dict[str, Any]:
    pairs = [[one, other] for index, one in enumerate(names) for other in names[index + 1 :]]
    return {"not": {"anyOf": [{"required": pair} for pair in pairs]}}


class Login(Body):
    """Body of POST /authentication."""

    model_config = ConfigDict(json_schema_extra={"required": ["strategy", "email", "password"]})

    strategy: Text | None = _optional("`local` for e-mail and password.")
    email: Text | None = _optional("The user's e-mail address.")
    password: Text | None = _optional("The user's password.")


class InstanceDefinition(Body):
    """An instance, either by `id` or by `pattern`, `folder` and `name`."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"required": ["id"], "not": {"anyOf": [{"required": [key]} for key in ("pattern", "folder", "name")]}},
                {"required": ["pattern", "folder", "name"], "not": {"required": ["id"]}},
            ]
        }
    )

    id: Id | None = _optional("Instance id.")
    pattern: Text | None = _optional("Pattern name.")
    folder: Text | None = _optional("Folder path, such as /BUSINESS_VAULT.")
    name: Text | None = _optional("Instance name.")


class NewBuild(Body):
    """Body of POST /builds."""

    model_config = ConfigDict(json_schema_extra={"required": ["instances"]} | _one_of("project", "project_id"))

    project: Text | None = _optional("Project name.")
    project_id: Id | None = _optional("Project id.")
    instances: Annotated[list[InstanceDefinition], Field(json_schema_extra={"minItems": 1})] = Field(
        default_factory=list, description="Instances to build."
    )
    releases: dict[str, Text] | None = _optional("Release group names and release names.")
    description: Annotated[str, Field(max_length=4000)] | None = _optional("Description of the build.")
    wait: bool = Field(default=False, description="Respond only when the build has ended.")
    restore: bool = Field(default=False, description="Restore deleted instances first.")


class NewQuery(Body):
    """Body of POST /metadata."""

    model_config = ConfigDict(json_schema_extra={"required": ["statement"]} | _one_of("project", "project_id"))

    project: Text | None = _optional("Project name.")
    project_id: Id | None = _optional("Project id.")
    statement: Annotated[str, Field(min_length=1, max_length=100_000)] | None = _optional("SQL statement.")


class NewBuildDeployment(Body):
    """Body of POST /build_deployments."""

    model_config = ConfigDict(
        json_schema_extra={
            "required": ["build_id"],
            "allOf": [
                _one_of("pattern", "pattern_id"),
                _one_of("deployment", "deployment_id"),
                _at_most_one_of("agent", "agent_id", "agent_group", "agent_group_id"),
            ],
        }
    )

    build_id: Id | None = _optional("The build to deploy.")
    pattern: Text | None = _optional("Pattern name.")
    pattern_id: Id | None = _optional("Pattern id.")
    deployment: Text | None = _optional("Deployment name.")
    deployment_id: Id | None = _optional("Deployment id.")
    agent: Text | None = _optional("Agent name.")
    agent_id: Id | None = _optional("Agent id (an integer).")
    agent_group: Text | None = _optional("Agent group name.")
    agent_group_id: Id | None = _optional("Agent group id.")
