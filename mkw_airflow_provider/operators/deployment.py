"""The operator that deploys a build's results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, get_args

from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException

from mkw_airflow_provider.client.validation import (
    at_most_one,
    choice,
    exactly_one,
    manifest_mapping,
    optional_number,
    optional_text,
    whole_number,
)
from mkw_airflow_provider.exceptions import (
    AlreadyDeployedError,
    ConfigurationError,
    DeploymentFailedError,
    NotFoundError,
)
from mkw_airflow_provider.operators import runtime
from mkw_airflow_provider.operators.base import MetaKraftwerkOperator
from mkw_airflow_provider.operators.template_checks import check_literal
from mkw_airflow_provider.safe_values import safe_value
from mkw_airflow_provider.typing import IfDeployed, IfUnchanged, OperatorArguments
from mkw_airflow_provider.version_compat import TaskStateStore

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import XComArg
    from typing_extensions import Unpack

    from mkw_airflow_provider.client.flows.deploy import DeploymentRequest
    from mkw_airflow_provider.operators.lineage import Datasets

__all__ = ["BuildDeploymentOperator"]


def _if_deployed(name: str, value: Any) -> IfDeployed:
    word: IfDeployed = choice(name, value, get_args(IfDeployed), default="skip")
    return word


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
    :param if_deployed: what to do when the API lists this deployment for this build and this agent already: ``skip``
        returns the listed one, ``deploy`` deploys again, ``fail`` fails the task.
    :param manifest: the manifest of the download task, whose content digests tell whether the files have changed.
    :param if_unchanged: what to do if the files of the pattern are those that this task deployed in an earlier DAG run,
        and nobody has deployed to the same target since: ``deploy`` anyway, or ``skip`` the task. If that is not known,
        it deploys.
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
        "manifest",
        "metakraftwerk_conn_id",
    )
    ui_color = "#e3f0fb"
    has_datasets = True

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
        if_deployed: IfDeployed | XComArg = "skip",
        manifest: Mapping[str, Any] | str | XComArg | None = None,
        if_unchanged: IfUnchanged = "deploy",
        metakraftwerk_conn_id: str = "metakraftwerk_default",
        **kwargs: Unpack[OperatorArguments],
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
        self.manifest = manifest
        self.if_unchanged = choice("if_unchanged", if_unchanged, get_args(IfUnchanged))
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
        check_literal(_if_deployed, if_deployed=if_deployed)
        check_literal(manifest_mapping, manifest=manifest)
        if if_unchanged == "skip" and manifest is None:
            raise ConfigurationError(
                "`if_unchanged` compares files: give the `manifest` of the download task, as in "
                "`manifest=download.output`"
            )

    def _execute(self, context: Any) -> int:
        """Deploy, unless that has been done already.

        :return: the build deployment's id.
        :raises DeploymentUncertainError: if there was no response and no deployment is listed that surely is this one.
        :raises AirflowFailException: where a retry could not change anything: ``if_deployed="fail"`` or a deployment
            that the server reports as FAILED.
        """
        try:
            return self._deploy(context)
        except (AlreadyDeployedError, DeploymentFailedError) as error:
            raise AirflowFailException(str(error)) from error

    def _deploy(self, context: Any) -> int:
        order, hook = self._request(), self.hook
        self.announce_build(context, order.build_id)
        manifest = manifest_mapping("manifest", self.manifest) or {}
        content = self._check_unchanged(context, order, manifest)
        flow = runtime.deployment_record.deploy_once(
            hook.session,
            order,
            runtime.attempt.Attempt.of(context),
            TaskStateStore.of(context),
            if_deployed=_if_deployed("if_deployed", self.if_deployed),
            retries=self.retries or 0,
        )
        try:
            deployment = hook.run(flow)
        except NotFoundError as error:
            raise hook.run(runtime.deploy.explain_missing(hook.session, order, error)) from None
        deployed = runtime.deploy.check_outcome(hook.session, order, deployment).id
        if content is not None and (context or {}).get("ti") is not None:
            context["ti"].xcom_push(
                key=runtime.unchanged.DEPLOYED,
                value=safe_value(runtime.unchanged.describe_deployed(order, deployed, content)),
            )
        self.publish(
            context,
            build_deployment_id=deployed,
            files=runtime.unchanged.files_of(manifest, order),
            **{name: value for name, value in vars(order).items() if value is not None},
        )
        return deployed

    def lineage(self, datasets: Datasets) -> tuple[list[Any], list[Any]]:
        """Return the results of the pattern as input, and where they were deployed to as output."""
        facts = self.published or {}
        patterns = datasets.of_patterns(facts.get("pattern") or facts.get("pattern_id"))
        target = facts.get("deployment") or facts.get("deployment_id")
        return patterns, [datasets.within(pattern, target) for pattern in patterns]

    def _check_unchanged(self, context: Any, order: DeploymentRequest, manifest: Mapping[str, Any]) -> str | None:
        """Return the digest of the files to deploy; None if it is not known.

        :raises AirflowSkipException: if they are deployed already.
        """
        content = runtime.unchanged.content_of(manifest, order)
        task_instance = (context or {}).get("ti")
        if self.if_unchanged == "skip" and task_instance is not None:
            last = task_instance.xcom_pull(
                task_ids=self.task_id,
                key=runtime.unchanged.DEPLOYED,
                map_indexes=task_instance.map_index,
                include_prior_dates=True,
            )
            unchanged = runtime.unchanged.find_unchanged(
                self.hook.session, order, content, last, manifest.get("project_id")
            )
            reason = self.hook.run(unchanged)
            if reason is not None:
                # Airflow 3 shows the reason of a skipped task only as a detail of its own line.
                self.log.info("%s", reason)
                raise AirflowSkipException(reason)
        return content

    def _request(self) -> DeploymentRequest:
        self.require_rendered(pattern=self.pattern, pattern_id=self.pattern_id)
        self.require_rendered(deployment=self.deployment, deployment_id=self.deployment_id)
        order = runtime.deploy.DeploymentRequest(
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
