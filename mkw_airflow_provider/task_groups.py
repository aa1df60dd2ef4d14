"""The nightly chain as one object: start, wait, download, approve and deploy."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from inspect import Parameter, signature
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import TaskGroup

from mkw_airflow_provider.client.text import quote_value
from mkw_airflow_provider.client.validation import fixed_flag
from mkw_airflow_provider.exceptions import ConfigurationError
from mkw_airflow_provider.operators.build import DownloadBuildOperator, StartBuildOperator
from mkw_airflow_provider.operators.deployment import BuildDeploymentOperator
from mkw_airflow_provider.operators.patterns import ListBuildPatternsOperator
from mkw_airflow_provider.selection import is_glob
from mkw_airflow_provider.sensors.build import BuildSensor
from mkw_airflow_provider.typing import DeploymentDict, Instances, TaskGroupArguments
from mkw_airflow_provider.version_compat import approval_operator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator, XComArg
    from typing_extensions import Unpack

__all__ = ["BuildTaskGroup", "Deployment"]

#: A deployment that has nothing to do is skipped; the ones after it must still run, unless nothing was built at all.
AFTER_SKIPPED = "none_failed_min_one_success"


@dataclass(frozen=True)
class Deployment:
    """One deployment of a :class:`BuildTaskGroup`.

    :param pattern: name of the pattern, or a glob such as ``*``: then all matching patterns of the build.
    :param deployment: name of the deployment definition.
    :param agent: name of the agent that executes it; mutually exclusive with ``agent_group``.
    :param agent_group: name of a group, any available agent of which executes it.
    """

    pattern: str
    deployment: str
    agent: str | None = None
    agent_group: str | None = None

    @classmethod
    def from_value(cls, value: Deployment | DeploymentDict) -> Deployment:
        """Return a deployment from itself or from its dict form.

        :raises ConfigurationError: for a key that is missing, unknown, or no text.
        """
        entry: Any = vars(value) if isinstance(value, cls) else value
        known, needed = [item.name for item in fields(cls)], ("pattern", "deployment")
        is_known = isinstance(entry, Mapping) and set(needed) <= set(entry) <= set(known)
        if not is_known or not all(isinstance(entry[name], str) for name in needed):
            raise ConfigurationError(
                f"an entry of `deployments` must have the texts `pattern` and `deployment`, and may have `agent` or "
                f"`agent_group`; it is {quote_value(value)}"
            )
        return cls(**entry)

    @property
    def task_id(self) -> str:
        """Id of the deployment's task, within the group."""
        return f"deploy_{_slug(self.pattern)}_{_slug(self.deployment)}"


class BuildTaskGroup(TaskGroup):
    """Start a build, wait for it, download its files and deploy them, as one task group.

    Its tasks are ``start``, ``wait``, ``download`` (with ``destination``), and for each entry of ``deployments``, in
    the given order, ``deploy_<pattern>_<deployment>``, preceded by ``approve_<deployment>`` if ``approve`` names it.

    :param group_id: id of the group.
    :param project: name of the project; without it and ``project_id``, the connection's.
    :param project_id: id of the project.
    :param instances: what to build, as for :class:`~mkw_airflow_provider.operators.build.StartBuildOperator`; mostly an
        :class:`~mkw_airflow_provider.selection.InstanceSelector`.
    :param releases: release group name to release name.
    :param description: free text, shown in the web application.
    :param destination: folder or URL for the files; None: nothing is downloaded.
    :param patterns: names of the patterns to download; None: all.
    :param ignore_lines: regular expressions; matching lines of the files do not count as a change.
    :param ignore_members: regular expressions; matching members of ZIP files do not count as a change.
    :param deployments: each a :class:`Deployment` or its dict form.
    :param only_if_changed: skip a deployment whose files have not changed since its last one; needs ``destination``.
    :param approve: names of deployments that a person must approve first (Airflow 3.1 and later). A rejected approval
        fails its task, and nothing after it runs.
    :param deferrable: wait in the triggerer instead of in a worker.
    :param metakraftwerk_conn_id: id of the Airflow connection.
    :param task_group_arguments: anything else that a task group takes, such as ``default_args`` or ``tooltip``.
    :raises ConfigurationError: for arguments that contradict each other, when the DAG file is parsed.
    """

    def __init__(
        self,
        group_id: str,
        *,
        project: str | XComArg | None = None,
        project_id: int | str | XComArg | None = None,
        instances: Instances | XComArg,
        releases: Mapping[str, str] | str | XComArg | None = None,
        description: str | XComArg | None = None,
        destination: str | XComArg | None = None,
        patterns: Sequence[str] | str | XComArg | None = None,
        ignore_lines: Sequence[str] = (),
        ignore_members: Sequence[str] = (),
        deployments: Sequence[Deployment | DeploymentDict] = (),
        only_if_changed: bool = False,
        approve: Sequence[str] = (),
        deferrable: bool = True,
        metakraftwerk_conn_id: str = "metakraftwerk_default",
        **task_group_arguments: Unpack[TaskGroupArguments],
    ) -> None:
        _check_names(task_group_arguments)
        stages = [Deployment.from_value(entry) for entry in deployments or ()]
        approve = approve or ()
        _check_choices(stages, approve, only_if_changed=only_if_changed, has_files=destination is not None)
        super().__init__(group_id=group_id, **task_group_arguments)
        self._check_mapping(stages)
        connection: dict[str, Any] = {"metakraftwerk_conn_id": metakraftwerk_conn_id, "task_group": self}
        label: dict[str, Any] = (
            {"map_index_template": "{{ task.project or task.project_id }}"} if self._is_mapped else {}
        )
        self.start = StartBuildOperator(
            task_id="start",
            project=project,
            project_id=project_id,
            instances=instances,
            releases=releases,
            description=description,
            **label,
            **connection,
        )
        self.wait = BuildSensor(task_id="wait", build_id=self.start.output, deferrable=deferrable, **connection)
        self.start >> self.wait
        # Left out where they are empty: `default_args` may give them.
        ignored: dict[str, Any] = {"ignore_lines": ignore_lines, "ignore_members": ignore_members}
        self.download: DownloadBuildOperator | None = None
        if destination is not None:
            self.download = DownloadBuildOperator(
                task_id="download",
                build_id=self.start.output,
                destination=destination,
                patterns=patterns,
                **{name: value for name, value in ignored.items() if value},
                **connection,
            )
            self.wait >> self.download
        self._add_deployments(stages, set(approve), only_if_changed, connection)

    @property
    def build_id(self) -> XComArg:
        """The build's id, for tasks outside the group."""
        return self.start.output

    @property
    def manifest(self) -> XComArg:
        """The manifest of the downloaded files, for tasks outside the group.

        :raises ConfigurationError: if the group has no ``destination``.
        """
        if self.download is None:
            raise ConfigurationError("this task group downloads nothing, so it has no manifest: give a `destination`")
        return self.download.output

    @property
    def _is_mapped(self) -> bool:
        return next(iter(self.iter_mapped_task_groups()), None) is not None

    def _check_mapping(self, stages: Iterable[Deployment]) -> None:
        globs = [stage.pattern for stage in stages if is_glob(stage.pattern)]
        if globs and self._is_mapped:
            raise ConfigurationError(
                f"Airflow cannot expand the pattern {globs[0]!r} inside a mapped task group. Name the patterns, or "
                "create one BuildTaskGroup per project in a Python loop"
            )

    def _add_deployments(
        self, stages: Sequence[Deployment], approve: set[str], only_if_changed: bool, connection: Mapping[str, Any]
    ) -> None:
        built: BaseOperator = self.download or self.wait
        before: list[Any] = [built]
        # Without the index, a mapped group would name the builds of all its instances.
        build_id = f"{{{{ ti.xcom_pull(task_ids='{self.start.task_id}', map_indexes=ti.map_index) }}}}"
        for stage in stages:
            if stage.deployment in approve:
                approve.discard(stage.deployment)
                approval = approval_operator()(
                    task_id=f"approve_{_slug(stage.deployment)}",
                    subject=f"Deploy build {build_id} with {stage.deployment}?",
                    fail_on_reject=True,
                    trigger_rule=AFTER_SKIPPED,
                    task_group=self,
                )
                before >> approval
                before = [built, approval]
            deploy = self._add_deployment(stage, built, only_if_changed, connection)
            before >> deploy
            before = [built, deploy]

    def _add_deployment(
        self, stage: Deployment, built: BaseOperator, only_if_changed: bool, connection: Mapping[str, Any]
    ) -> Any:
        arguments: dict[str, Any] = {
            "task_id": stage.task_id,
            "build_id": self.start.output,
            "deployment": stage.deployment,
            "agent": stage.agent,
            "agent_group": stage.agent_group,
            "trigger_rule": AFTER_SKIPPED,
            **connection,
        }
        if only_if_changed and self.download is not None:
            arguments |= {"manifest": self.download.output, "if_unchanged": "skip"}
        if not is_glob(stage.pattern):
            return BuildDeploymentOperator(pattern=stage.pattern, **arguments)
        names = ListBuildPatternsOperator(
            task_id=f"patterns_{_slug(stage.pattern)}_{_slug(stage.deployment)}",
            build_id=self.start.output,
            pattern=stage.pattern,
            **connection,
        )
        built >> names
        return BuildDeploymentOperator.partial(map_index_template="{{ task.pattern }}", **arguments).expand(
            pattern=names.output
        )


def _check_names(arguments: Iterable[str]) -> None:
    known = {
        name
        for group in (BuildTaskGroup, TaskGroup)
        for name, parameter in signature(group).parameters.items()
        if parameter.kind is not Parameter.VAR_KEYWORD
    }
    for name in arguments:
        if name not in known:
            nearest = get_close_matches(name, known, n=1)
            hint = f"; did you mean `{nearest[0]}`?" if nearest else ""
            raise ConfigurationError(f"BuildTaskGroup has no parameter `{name}`{hint}")


def _check_choices(
    stages: Sequence[Deployment], approve: Sequence[str], *, only_if_changed: bool, has_files: bool
) -> None:
    if fixed_flag("only_if_changed", only_if_changed) and not has_files:
        raise ConfigurationError("`only_if_changed` compares the downloaded files: give a `destination`")
    # A generator would be empty when it is read again, and then nobody would be asked.
    is_list = isinstance(approve, Collection) and not isinstance(approve, str)
    if not is_list or not all(isinstance(name, str) for name in approve):
        raise ConfigurationError(f"`approve` must be a list of names of deployments, not {quote_value(approve)}")
    unknown = sorted(set(approve) - {stage.deployment for stage in stages})
    if unknown:
        raise ConfigurationError(f"`approve` names {', '.join(map(repr, unknown))}, which is not in `deployments`")
    ids = [stage.task_id for stage in stages]
    twice = sorted({task_id for task_id in ids if ids.count(task_id) > 1})
    if twice:
        raise ConfigurationError(f"`deployments` has more than one entry for {', '.join(twice)}")


def _slug(text: str) -> str:
    """Return a name as part of a task id."""
    return re.sub(r"[^\w.-]+", "_", text.replace("*", "all")).strip("_") or "all"
