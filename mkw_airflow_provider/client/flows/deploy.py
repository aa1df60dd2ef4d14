"""Deploy a build's results, and tell a deployment from those of other agents."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from mkw_airflow_provider.client.api.agents import Agent, AgentGroup, find_agent_groups, find_agents
from mkw_airflow_provider.client.api.build_deployments import (
    BuildDeployment,
    check_choice,
    create_build_deployment,
    find_build_deployments,
)
from mkw_airflow_provider.client.api.deployments import find_deployments
from mkw_airflow_provider.client.api.patterns import find_patterns
from mkw_airflow_provider.client.flows.nearest import Name, explain_not_found
from mkw_airflow_provider.client.recovery import send_or_recover, send_without_recovery
from mkw_airflow_provider.client.request import Request
from mkw_airflow_provider.client.session import ApiSession, Flow
from mkw_airflow_provider.client.text import quote_value
from mkw_airflow_provider.exceptions import (
    DeploymentFailedError,
    DeploymentUncertainError,
    MetaKraftwerkError,
    NotFoundError,
)


@dataclass(frozen=True)
class DeploymentRequest:
    """What to deploy, where to and by whom: the arguments of ``POST /build_deployments``."""

    build_id: int
    pattern: str | None = None
    pattern_id: int | None = None
    deployment: str | None = None
    deployment_id: int | None = None
    agent: str | None = None
    agent_id: int | None = None
    agent_group: str | None = None
    agent_group_id: int | None = None

    def check(self) -> None:
        """Check the one-of rules.

        :raises ConfigurationError: naming what is missing or too much.
        """
        arguments = dict(vars(self))
        del arguments["build_id"]
        check_choice(**arguments)

    def post(self) -> Request[BuildDeployment]:
        """Return the request that deploys."""
        return create_build_deployment(**vars(self))

    def __str__(self) -> str:
        parts = [self.pattern or f"pattern {self.pattern_id}", self.deployment or f"deployment {self.deployment_id}"]
        agent, group = self.agent or self.agent_id, self.agent_group or self.agent_group_id
        parts += [f"agent {agent}"] if agent else [f"agent group {group}"] if group else []
        return f"of build {self.build_id} ({', '.join(parts)})"


@dataclass(frozen=True)
class Target:
    """The agent or the agent group that was asked for, by id.

    :param agents: ids of the agent; None: no agent was asked for, or its id is not known.
    :param groups: ids of the agent group; likewise.
    :param is_default: whether neither was asked for, so that the server chooses.
    :param other_agents: ids of agents that have other names, if none has the name that was asked for; None: their names
        are not known.
    :param other_groups: likewise.
    """

    agents: frozenset[int] | None = None
    groups: frozenset[int] | None = None
    is_default: bool = False
    other_agents: frozenset[int] | None = None
    other_groups: frozenset[int] | None = None

    def matches(self, deployment: BuildDeployment) -> bool | None:
        """Whether a deployment was made for this target; None: that cannot be told."""
        agent, group = deployment.agent_id, deployment.agent_group_id
        if agent is None and group is None:
            return True if self.is_default else None
        if self.agents is not None:
            # A deployment for a group may show the agent that executes it, too.
            return False if agent not in self.agents else True if group is None else None
        if self.groups is not None:
            return None if group is None else group in self.groups
        is_other = agent in (self.other_agents or ()) or group in (self.other_groups or ())
        return False if is_other else None

    def counts_as_deployed(self, deployment: BuildDeployment) -> bool:
        """Whether a listed deployment is what was asked for, as far as the API tells who executed it."""
        is_known = any(ids is not None for ids in (self.agents, self.groups, self.other_agents, self.other_groups))
        is_anonymous = deployment.agent_id is None and deployment.agent_group_id is None
        return not is_known or is_anonymous or bool(self.matches(deployment))


def find_target(session: ApiSession, order: DeploymentRequest) -> Flow[Target]:
    """Return the target of a request; names are resolved by one lookup.

    A lookup that fails leaves the target unknown: then no deployment can be told from those of other agents. One that
    finds only other names tells whose deployments surely are not meant.
    """
    agent, agent_id, group, group_id = order.agent, order.agent_id, order.agent_group, order.agent_group_id
    if agent_id is not None:
        return Target(agents=frozenset([agent_id]))
    if group_id is not None:
        return Target(groups=frozenset([group_id]))
    if agent is None and group is None:
        return Target(is_default=True)
    try:
        if agent is not None:
            agents = yield from session.request(find_agents(name=agent))
            ids, others = _ids_of(agents, agent)
            target = Target(agents=ids, other_agents=others)
        else:
            groups = yield from session.request(find_agent_groups(name=group))
            ids, others = _ids_of(groups, group)
            target = Target(groups=ids, other_groups=others)
    except MetaKraftwerkError as error:
        session.log.warning("Deployments of other agents cannot be told apart: %s", error)
        return Target()
    if ids is None:
        kind = "agent group" if agent is None else "agent"
        session.log.warning(
            "The server lists no %s with the name %s: which deployments it made is not known.",
            kind,
            quote_value(agent or group),
        )
    return target


def _ids_of(
    found: Sequence[Agent | AgentGroup], name: str | None
) -> tuple[frozenset[int] | None, frozenset[int] | None]:
    """Return the ids of the records of a name, or, if there are none, None and the ids of those of other names."""
    # A filter that ignores case finds what a POST with the same name uses.
    similar = [record for record in found if record.name is not None and record.name.casefold() == str(name).casefold()]
    unnamed = [record for record in found if record.name is None and len(found) == 1]
    ids = frozenset(record.id for record in [one for one in found if one.name == name] or similar or unnamed)
    return (ids, None) if ids else (None, frozenset(record.id for record in found if record.name is not None))


def list_deployments(session: ApiSession, order: DeploymentRequest) -> Flow[list[BuildDeployment]]:
    """List what the API has of the same build, pattern and deployment, of any agent, oldest first."""
    request = find_build_deployments(
        build_id=order.build_id,
        pattern=order.pattern,
        pattern_id=order.pattern_id,
        deployment=order.deployment,
        deployment_id=order.deployment_id,
    )
    found: list[BuildDeployment] = yield from session.request(request)
    return sorted(found, key=lambda deployment: deployment.id)


def new_ones(listed: Iterable[BuildDeployment], known: Collection[int]) -> list[BuildDeployment]:
    """Return the deployments that were not listed before."""
    return [deployment for deployment in listed if deployment.id not in known]


def find_new(session: ApiSession, order: DeploymentRequest, known: Collection[int]) -> Flow[BuildDeployment | None]:
    """Return a deployment that was not listed before and surely is for the target of a request.

    :param known: ids of the deployments that were listed before the request.
    """
    listed = yield from list_deployments(session, order)
    new = new_ones(listed, known)
    if not new:
        return None
    target: Target = yield from find_target(session, order)
    return next((deployment for deployment in reversed(new) if target.matches(deployment)), None)


def deploy(session: ApiSession, order: DeploymentRequest, known: Collection[int]) -> Flow[BuildDeployment]:
    """Send ``POST /build_deployments`` once; without a response, check whether a new deployment is listed.

    :param known: ids of the deployments that were listed before.
    :raises DeploymentUncertainError: if none is listed within ``outage_tolerance`` that surely is this one.
    :raises ServerError: after a 500; likewise, but within ``read_timeout``.
    :raises ApiError: for every other error response; nothing was deployed.
    """

    def uncertain(what: str) -> DeploymentUncertainError:
        return DeploymentUncertainError(
            f"{what}. The deployment {order} may be running on the server. "
            "The next attempt of this task checks first, and deploys only if none is listed"
        )

    def find() -> Flow[BuildDeployment | None]:
        return (yield from find_new(session, order, known))

    effect = f"the deployment {order}"
    return (yield from send_or_recover(session, order.post(), find=find, effect=effect, uncertain=uncertain))


def create(session: ApiSession, **arguments: Any) -> Flow[BuildDeployment]:
    """Send ``POST /build_deployments`` once, without knowing what was listed before.

    :param arguments: those of :class:`DeploymentRequest`.
    :raises DeploymentUncertainError: if there was no response.
    """
    order = DeploymentRequest(**arguments)

    def uncertain(what: str) -> DeploymentUncertainError:
        return DeploymentUncertainError(
            f"{what}. The deployment {order} may be running on the server. "
            "List the build's deployments before you deploy again"
        )

    return (yield from send_without_recovery(session, order.post(), uncertain=uncertain))


def explain_missing(session: ApiSession, request: DeploymentRequest, error: NotFoundError) -> Flow[NotFoundError]:
    """Return the error of a deployment with the name that does not exist, which the server does not give."""
    names = [
        Name("pattern", request.pattern, find_patterns()),
        Name(
            "deployment", request.deployment, find_deployments(pattern=request.pattern, pattern_id=request.pattern_id)
        ),
        Name("agent", request.agent, find_agents()),
        Name("agent group", request.agent_group, find_agent_groups()),
    ]
    return (yield from explain_not_found(session, error, names))


def check_outcome(session: ApiSession, order: DeploymentRequest, deployment: BuildDeployment) -> BuildDeployment:
    """Log what the server says of a deployment; more than that it was accepted is not documented.

    :raises DeploymentFailedError: if the server sends the undocumented status FAILED.
    """
    said = ": ".join(word for word in (deployment.status, deployment.message) if word)
    if (deployment.status or "").upper() == "FAILED":
        raise DeploymentFailedError(
            f"deployment {deployment.id} {order} {said}. Clear the task to deploy again; a retry does not"
        )
    if said:
        session.log.info("Deployment %s %s was accepted; the server says: %s.", deployment.id, order, said)
    else:
        session.log.info(
            "Deployment %s %s was accepted. The API does not report its outcome; check %s.",
            deployment.id,
            order,
            session.settings.build_url(order.build_id, None),
        )
    return deployment
