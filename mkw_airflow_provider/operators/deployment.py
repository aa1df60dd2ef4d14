"""The operator that deploys a build's results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException

from mkw_airflow_provider.client.validation import (
    at_most_one,
    exactly_one,
    optional_number,
    optional_text,
    whole_number,
)
from mkw_airflow_provider.exceptions import AlreadyDeployedError, ConfigurationError, DeploymentFailedError
from mkw_airflow_provider.operators.build_wait import MetaKraftwerkOperator
from mkw_airflow_provider.operators.series import Series, series_of
from mkw_airflow_provider.operators.template_checks import check_literal, is_literal

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import XComArg

    from mkw_airflow_provider.client.api.build_deployments import BuildDeployment
    from mkw_airflow_provider.client.flows.deploy import DeploymentRequest

__all__ = ["BuildDeploymentOperator"]

#: Under this key the task's state store (Airflow 3.3) holds what was listed before the series' first POST.
LISTED_BEFORE = "metakraftwerk_listed_before"
IF_DEPLOYED = ("skip", "deploy", "fail")


class BuildDeploymentOperator(MetaKraftwerkOperator):
    """Deploy a build's results. A retry never deploys a second time; a cleared task deploys again.

    Returns the build deployment's id. The API accepts a deployment and documents no way to learn how it ends.

    :param build_id: id of the build; text of digits is accepted.
    :param pattern: name of the pattern whose results are deployed; exactly one of it and ``pattern_id``.
    :param pattern_id: id of that pattern.
    :param deployment: name of the deployment definition; exactly one of it and ``deployment_id``.
    :param deployment_id: id of that definition.
    :param agent: name of the agent that executes it; at most one of this and the next three; without any the server's
        default.
    :param agent_id: id of that agent.
    :param agent_group: name of a group, any available agent of which executes it.
    :param agent_group_id: id of that group.
    :param if_deployed: what to do when the API lists this deployment for this build already: ``skip`` returns the
        listed one, ``deploy`` deploys again, ``fail`` fails the task.
    :param metakraftwerk_conn_id: id of the Airflow connection.
    :raises ConfigurationError: for arguments that the API rules out; when the DAG is read, if they are literal.
    """

    template_fields: Sequence[str] = (
        "build_id",
        "pattern",
        "pattern_id",
        "deployment",
        "deployment_id",
        "agent",
        "agent_id",
        "agent_group",
        "agent_group_id",
        "if_deployed",
        "metakraftwerk_conn_id",
    )
    ui_color = "#e3f0fb"

    def __init__(
        self,
        *,
        build_id: int | str | XComArg,
        pattern: str | XComArg | None = None,
        pattern_id: int | str | XComArg | None = None,
        deployment: str | XComArg | None = None,
        deployment_id: int | str | XComArg | None = None,
        agent: str | XComArg | None = None,
        agent_id: int | str | XComArg | None = None,
        agent_group: str | XComArg | None = None,
        agent_group_id: int | str | XComArg | None = None,
        if_deployed: str | XComArg = "skip",
        metakraftwerk_conn_id: str = "metakraftwerk_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.build_id = build_id
        self.pattern = pattern
        self.pattern_id = pattern_id
        self.deployment = deployment
        self.deployment_id = deployment_id
        self.agent = agent
        self.agent_id = agent_id
        self.agent_group = agent_group
        self.agent_group_id = agent_group_id
        self.if_deployed = if_deployed
        self.metakraftwerk_conn_id = metakraftwerk_conn_id

        exactly_one(pattern=pattern, pattern_id=pattern_id)
        exactly_one(deployment=deployment, deployment_id=deployment_id)
        at_most_one(agent=agent, agent_id=agent_id, agent_group=agent_group, agent_group_id=agent_group_id)
        check_literal(optional_text, pattern=pattern, deployment=deployment, agent=agent, agent_group=agent_group)
        check_literal(whole_number, build_id=build_id)
        check_literal(
            optional_number,
            pattern_id=pattern_id,
            deployment_id=deployment_id,
            agent_id=agent_id,
            agent_group_id=agent_group_id,
        )
        if is_literal(if_deployed):
            self._check_choice()

    def _check_choice(self) -> None:
        if self.if_deployed not in IF_DEPLOYED:
            raise ConfigurationError(f"`if_deployed` must be one of {', '.join(IF_DEPLOYED)}, not {self.if_deployed!r}")

    def execute(self, context: Any) -> int:
        """Deploy, unless that has been done already.

        :return: the build deployment's id.
        :raises DeploymentUncertainError: if the answer was lost and the deployment is not listed; the next try looks.
        :raises AirflowFailException: where a retry could not change anything: ``if_deployed="fail"``, or a deployment
            that the server reports as FAILED.
        """
        from mkw_airflow_provider.client.flows.deploy import check_outcome

        self._check_choice()
        order = self._order()
        try:
            return check_outcome(self.hook.session, self._deploy_once(context, order)).id
        except (AlreadyDeployedError, DeploymentFailedError) as error:
            raise AirflowFailException(str(error)) from error

    def _order(self) -> DeploymentRequest:
        from mkw_airflow_provider.client.flows.deploy import DeploymentRequest

        order = DeploymentRequest(
            build_id=self.read_build_id(self.build_id),
            pattern=optional_text("pattern", self.pattern),
            pattern_id=optional_number("pattern_id", self.pattern_id),
            deployment=optional_text("deployment", self.deployment),
            deployment_id=optional_number("deployment_id", self.deployment_id),
            agent=optional_text("agent", self.agent),
            agent_id=optional_number("agent_id", self.agent_id),
            agent_group=optional_text("agent_group", self.agent_group),
            agent_group_id=optional_number("agent_group_id", self.agent_group_id),
        )
        order.check()
        return order

    def _deploy_once(self, context: Any, order: DeploymentRequest) -> BuildDeployment:
        from mkw_airflow_provider.client.flows.deploy import decide, deploy, listed

        hook, series = self.hook, series_of(context, self.retries)
        there = hook.run(listed(hook.session, order))
        store = (context or {}).get("task_state_store")
        if series is not None and series.is_retry:
            mine = self._made_by_earlier_try(store, series, there)
            if mine is not None:
                self.log.info("Build deployment %s was made by an earlier try of this task.", mine.id)
                return mine
        again = series is not None and series.was_cleared and self.if_deployed == "skip"
        if again and there:
            self.log.info("This task was cleared: deploying again.")
        found = decide(hook.session, order, there, "deploy" if again else str(self.if_deployed))
        if found is not None:
            return found
        before = [deployment.id for deployment in there]
        if store is not None and series is not None:
            store.set(LISTED_BEFORE, {"first_try": series.first_try, "ids": before})
        return hook.run(deploy(hook.session, order, before))

    def _made_by_earlier_try(
        self, store: Any, series: Series, there: Sequence[BuildDeployment]
    ) -> BuildDeployment | None:
        """Return the deployment that an earlier try of the same series made; None if it made none."""
        if store is None:
            # Before Airflow 3.3 nothing tells it from older ones. What is listed counts: rather none than two.
            return there[-1] if there else None
        known = store.get(LISTED_BEFORE)
        if not isinstance(known, dict) or known.get("first_try") != series.first_try:
            return None
        new = [deployment for deployment in there if deployment.id not in known.get("ids", ())]
        return new[-1] if new else None
