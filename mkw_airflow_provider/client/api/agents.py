"""``/agents`` and ``/agent_groups``: find. Only the beginning of the API's pages on them is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mkw_airflow_provider.client.model import Record
from mkw_airflow_provider.client.request import Request, api_path, query
from mkw_airflow_provider.client.rows import read_list
from mkw_airflow_provider.client.validation import at_most_one, optional_flag, optional_number, optional_text


@dataclass(frozen=True)
class Agent(Record):
    """A program on a customer's machine that executes deployments, with the documented fields.

    :param id: the number that ``/build_deployments`` calls ``agent_id``.
    :param agent_id: the agent's UUID, which has the same name there but is something else (documented).
    """

    noun: ClassVar[str] = "agent"

    agent_id: str | None = None
    name: str | None = None
    deleted: bool | None = None
    disabled: bool | None = None
    online: bool | None = None
    group_id: int | None = None


@dataclass(frozen=True)
class AgentGroup(Record):
    """A group of agents, with the documented fields."""

    noun: ClassVar[str] = "agent group"

    name: str | None = None
    description: str | None = None


def find_agents(
    *,
    name: str | None = None,
    agent_id: str | None = None,
    online: bool | None = None,
    group: str | None = None,
    group_id: int | None = None,
) -> Request[list[Agent]]:
    """List agents (``GET /agents``). All filters are optional (documented).

    :param agent_id: the agent's UUID.
    :param online: only agents that are connected, or only others; None: both.
    :param group: name of the agent group; mutually exclusive with ``group_id``.
    :raises ConfigurationError: if both ``group`` and ``group_id`` are given.
    """
    at_most_one(group=group, group_id=group_id)
    filters = query(
        name=optional_text("name", name),
        agent_id=optional_text("agent_id", agent_id),
        online=optional_flag("online", online),
        group=optional_text("group", group),
        group_id=optional_number("group_id", group_id),
    )
    return Request("GET", api_path("agents"), read_list(Agent.from_json), filters)


def find_agent_groups(*, name: str | None = None) -> Request[list[AgentGroup]]:
    """List agent groups (``GET /agent_groups``).

    :param name: the documented filter.
    """
    filters = query(name=optional_text("name", name))
    return Request("GET", api_path("agent_groups"), read_list(AgentGroup.from_json), filters)
