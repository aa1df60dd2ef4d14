"""Deploying a build's results exactly once."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from mkw_airflow_provider.client.api.build_deployments import (
    BuildDeployment,
    check_choice,
    create_build_deployment,
    find_build_deployments,
)
from mkw_airflow_provider.client.recovery import send_or_recover, send_without_recovery
from mkw_airflow_provider.client.request import Request
from mkw_airflow_provider.client.session import ApiSession, Flow
from mkw_airflow_provider.exceptions import AlreadyDeployedError, DeploymentFailedError, DeploymentUncertainError


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

    def request(self) -> Request[BuildDeployment]:
        """Return the call that deploys."""
        return create_build_deployment(**vars(self))

    def __str__(self) -> str:
        deployment = self.deployment or f"deployment {self.deployment_id}"
        return f"{deployment} of {self.pattern or f'pattern {self.pattern_id}'} for build {self.build_id}"


def listed(session: ApiSession, order: DeploymentRequest) -> Flow[list[BuildDeployment]]:
    """List what the API has of the same build, pattern and deployment, oldest first."""
    request = find_build_deployments(
        build_id=order.build_id,
        pattern=order.pattern,
        pattern_id=order.pattern_id,
        deployment=order.deployment,
        deployment_id=order.deployment_id,
    )
    found: list[BuildDeployment] = yield from session.request(request)
    return sorted(found, key=lambda deployment: deployment.id)


def decide(
    session: ApiSession, order: DeploymentRequest, there: Collection[BuildDeployment], if_deployed: str
) -> BuildDeployment | None:
    """Return the deployment to leave it at, or None to make one.

    :param there: what the API lists already.
    :param if_deployed: ``skip``, ``deploy`` or ``fail``.
    :raises AlreadyDeployedError: for ``fail``.
    """
    if not there:
        return None
    newest = max(there, key=lambda deployment: deployment.id)
    if if_deployed == "fail":
        raise AlreadyDeployedError(
            f"{order} is listed already as build deployment {newest.id}, and `if_deployed` is 'fail'. Nothing was sent"
        )
    if if_deployed == "deploy":
        session.log.info("%s is listed already as build deployment %s; deploying again.", order, newest.id)
        return None
    session.log.info("%s is listed already as build deployment %s; not deploying again.", order, newest.id)
    return newest


def deploy(session: ApiSession, order: DeploymentRequest, known: Collection[int]) -> Flow[BuildDeployment]:
    """Send ``POST /build_deployments`` once.

    :param known: ids of the deployments listed before, so that a new one can be told from them.
    :raises DeploymentUncertainError: if the answer was lost and no new one is listed within ``outage_tolerance``.
    :raises ApiError: what the server said; nothing was deployed.
    """

    def find() -> Flow[BuildDeployment | None]:
        there: list[BuildDeployment] = yield from listed(session, order)
        new = [deployment for deployment in there if deployment.id not in known]
        if not new:
            return None
        session.log.info("Build deployment %s is the one that the lost answer was about.", new[-1].id)
        return new[-1]

    def uncertain(what: str) -> DeploymentUncertainError:
        return DeploymentUncertainError(
            f"{what}: {order} may run at the server. "
            "The next try of this task looks first, and deploys only if none is listed"
        )

    return (yield from send_or_recover(session, order.request(), find=find, uncertain=uncertain))


def create(session: ApiSession, order: DeploymentRequest) -> Flow[BuildDeployment]:
    """Send ``POST /build_deployments`` once, without knowing what was listed before.

    :raises DeploymentUncertainError: if the answer was lost.
    """

    def uncertain(what: str) -> DeploymentUncertainError:
        return DeploymentUncertainError(
            f"{what}: {order} may run at the server. List the build's deployments before deploying again"
        )

    return (yield from send_without_recovery(session, order.request(), uncertain=uncertain))


def check_outcome(session: ApiSession, deployment: BuildDeployment) -> BuildDeployment:
    """Report what the server says of a deployment, which is no more than that it has taken it, unless it sends more.

    :raises DeploymentFailedError: if it sends the undocumented status FAILED.
    """
    said = ": ".join(word for word in (deployment.status, deployment.message) if word)
    if (deployment.status or "").upper() == "FAILED":
        raise DeploymentFailedError(
            f"build deployment {deployment.id} {said}. Clear the task to deploy again; a retry does not"
        )
    if said:
        session.log.info("Build deployment %s is accepted; the server says: %s.", deployment.id, said)
    else:
        session.log.info(
            "Build deployment %s is accepted. How it ends the API does not tell: see the build's page.", deployment.id
        )
    return deployment
