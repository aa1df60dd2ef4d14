"""``/build_deployments``: find, get and create. The API documents no status of a deployment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from mkw_airflow_provider.client.model import Record, message
from mkw_airflow_provider.client.request import Request, api_path, query, read_one
from mkw_airflow_provider.client.rows import read_list
from mkw_airflow_provider.client.validation import (
    at_most_one,
    exactly_one,
    optional_number,
    optional_text,
    whole_number,
)


@dataclass(frozen=True)
class BuildDeployment(Record):
    """One deployment of one build, with the documented fields."""

    noun: ClassVar[str] = "build deployment"

    build_id: int | None = None
    pattern_id: int | None = None
    deployment_id: int | None = None
    upload_id: int | None = None
    agent_id: int | None = None
    agent_group_id: int | None = None

    @property
    def status(self) -> str | None:
        """The field ``status``, should the server send one: it is not documented."""
        return message(self.raw.get("status"))

    @property
    def message(self) -> str | None:
        """The field ``message``, should the server send one: it is not documented."""
        return message(self.raw.get("message"))


def find_build_deployments(
    *,
    build_id: int | None = None,
    pattern: str | None = None,
    pattern_id: int | None = None,
    deployment: str | None = None,
    deployment_id: int | None = None,
) -> Request[list[BuildDeployment]]:
    """List build deployments. All filters are optional (documented).

    :raises ConfigurationError: where a name and the id of the same thing are both given.
    """
    at_most_one(pattern=pattern, pattern_id=pattern_id)
    at_most_one(deployment=deployment, deployment_id=deployment_id)
    filters = query(
        build_id=optional_number("build_id", build_id),
        pattern=optional_text("pattern", pattern),
        pattern_id=optional_number("pattern_id", pattern_id),
        deployment=optional_text("deployment", deployment),
        deployment_id=optional_number("deployment_id", deployment_id),
    )
    return Request("GET", api_path("build_deployments"), read_list(BuildDeployment.from_json), filters)


def get_build_deployment(build_deployment_id: int) -> Request[BuildDeployment]:
    """Read one build deployment."""
    number = whole_number("build_deployment_id", build_deployment_id)
    return Request("GET", api_path("build_deployments", number), read_one(BuildDeployment.from_json))


def check_choice(
    *,
    pattern: Any = None,
    pattern_id: Any = None,
    deployment: Any = None,
    deployment_id: Any = None,
    agent: Any = None,
    agent_id: Any = None,
    agent_group: Any = None,
    agent_group_id: Any = None,
) -> None:
    """Check the one-of rules of ``POST /build_deployments`` (documented in its footnotes).

    :raises ConfigurationError: naming what is missing or too much.
    """
    exactly_one(pattern=pattern, pattern_id=pattern_id)
    exactly_one(deployment=deployment, deployment_id=deployment_id)
    at_most_one(agent=agent, agent_id=agent_id, agent_group=agent_group, agent_group_id=agent_group_id)


def create_build_deployment(
    *,
    build_id: int,
    pattern: str | None = None,
    pattern_id: int | None = None,
    deployment: str | None = None,
    deployment_id: int | None = None,
    agent: str | None = None,
    agent_id: int | None = None,
    agent_group: str | None = None,
    agent_group_id: int | None = None,
) -> Request[BuildDeployment]:
    """Deploy a build's results (``POST /build_deployments``). Never sent twice.

    Exactly one of pattern and pattern_id, exactly one of deployment and deployment_id, at most one of the four that
    name an agent or a group.

    :param agent: name of the agent that executes the deployment; with none of the four the server's default.
    :param agent_group: any available agent of the group executes it.
    :raises ConfigurationError: for arguments that the API rules out; nothing is sent.
    :raises DeploymentUncertainError: if the response was lost: whether it was deployed is unknown.
    """
    check_choice(
        pattern=pattern,
        pattern_id=pattern_id,
        deployment=deployment,
        deployment_id=deployment_id,
        agent=agent,
        agent_id=agent_id,
        agent_group=agent_group,
        agent_group_id=agent_group_id,
    )
    body = {
        "build_id": whole_number("build_id", build_id),
        "pattern": optional_text("pattern", pattern),
        "pattern_id": optional_number("pattern_id", pattern_id),
        "deployment": optional_text("deployment", deployment),
        "deployment_id": optional_number("deployment_id", deployment_id),
        "agent": optional_text("agent", agent),
        "agent_id": optional_number("agent_id", agent_id),
        "agent_group": optional_text("agent_group", agent_group),
        "agent_group_id": optional_number("agent_group_id", agent_group_id),
    }
    sent = {name: value for name, value in body.items() if value is not None}
    return Request("POST", api_path("build_deployments"), read_one(_read_created), body=sent)


def _read_created(value: Any) -> BuildDeployment:
    """Read the response, whose form is not documented: bare like a get, or wrapped like that of ``POST /builds``."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, Mapping) and "id" not in value and isinstance(value.get("build_deployment"), Mapping):
        value = value["build_deployment"]
    return BuildDeployment.from_json(value)
