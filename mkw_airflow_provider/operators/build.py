"""Operators that start a build and fetch its files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, get_args

from airflow.providers.common.compat.sdk import AirflowFailException, AirflowTaskTimeout, conf

from mkw_airflow_provider.client.text import without_secrets
from mkw_airflow_provider.client.validation import (
    at_most_one,
    choice,
    fixed_flag,
    flag,
    optional_description,
    optional_number,
    optional_seconds,
    optional_text,
    release_mapping,
    seconds,
    whole_number,
)
from mkw_airflow_provider.exceptions import BuildTimeoutError, MetaKraftwerkError, NotFoundError
from mkw_airflow_provider.operators import runtime
from mkw_airflow_provider.operators.build_wait import BuildWait, BuildWaitOperator
from mkw_airflow_provider.operators.download import DownloadBuildOperator
from mkw_airflow_provider.operators.instances import explain_missing, read_instances, resolve
from mkw_airflow_provider.operators.template_checks import check_literal
from mkw_airflow_provider.safe_values import safe_value
from mkw_airflow_provider.selection import InstanceSelector
from mkw_airflow_provider.typing import IfEmpty, Instances, OnClear, OperatorArguments
from mkw_airflow_provider.version_compat import TaskStateStore

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import XComArg
    from typing_extensions import Unpack

    from mkw_airflow_provider.client.api.builds import Build, CreatedBuild
    from mkw_airflow_provider.client.flows import Flow
    from mkw_airflow_provider.client.flows.start import BuildRequest
    from mkw_airflow_provider.client.flows.wait_result import WaitResult
    from mkw_airflow_provider.operators.attempt import Attempt
    from mkw_airflow_provider.operators.lineage import Datasets

__all__ = ["DownloadBuildOperator", "StartBuildOperator"]


class StartBuildOperator(BuildWaitOperator):
    """Start a build, and wait for it if asked to. A retry adopts the build that an earlier attempt started.

    Returns the build's id. The XComs ``build_id`` and ``return_value`` are pushed as soon as the server has responded,
    before any waiting; ``warnings`` holds the API's warnings, ``selection`` what an
    :class:`~mkw_airflow_provider.selection.InstanceSelector` selected.

    :param project: name of the project; without it and ``project_id`` the connection's own.
    :param project_id: id of the project.
    :param instances: what to build: a list of ``{"id": …}`` or ``{"pattern": …, "folder": …, "name": …}``; or an
        :class:`~mkw_airflow_provider.selection.InstanceSelector` or its dict form, which is resolved when the task
        runs. A template renders each of them as JSON text.
    :param releases: release group name to release name; a template renders it as JSON text.
    :param description: free text, shown in the web application; a marker is put before it and, where there is room, a
        line about this task after it.
    :param restore: restore deleted instances first.
    :param wait_for_completion: wait until the build has ended, and fail if it is not FINISHED.
    :param deferrable: wait in the triggerer instead of in a worker.
    :param poll_interval: the longest pause between two polls of the build, in seconds.
    :param timeout: seconds to wait; None: as long as it takes.
    :param reattach: let a retry look for the build of an earlier attempt. Without it each attempt starts one, and the
        description has no marker.
    :param on_clear: what the task does if it is cleared while its build is still running: ``adopt_running`` waits for
        that build, ``rebuild`` starts another one; the API cannot cancel builds. A build that has ended is never
        adopted after a clear.
    :param if_empty: ``fail`` or ``skip`` the task if a selector selects nothing.
    :param metakraftwerk_conn_id: id of the Airflow connection.
    :raises ConfigurationError: for arguments that the API rules out; when the DAG is read, if they are literal.
    """

    template_fields: Sequence[str] = (
        "project",
        "project_id",
        "instances",
        "releases",
        "description",
        "restore",
        "wait_for_completion",
        "metakraftwerk_conn_id",
    )
    template_fields_renderers = {"instances": "json", "releases": "json"}  # noqa: RUF012  # Airflow declares it so
    ui_color = "#e3f0fb"
    has_datasets = True

    def __init__(
        self,
        *,
        project: str | XComArg | None = None,
        project_id: int | str | XComArg | None = None,
        instances: Instances | XComArg,
        releases: Mapping[str, str] | str | XComArg | None = None,
        description: str | XComArg | None = None,
        restore: bool | str | XComArg = False,
        wait_for_completion: bool | str | XComArg = False,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poll_interval: float | timedelta = 30.0,
        timeout: float | timedelta | None = None,
        reattach: bool = True,
        on_clear: OnClear = "adopt_running",
        if_empty: IfEmpty = "fail",
        metakraftwerk_conn_id: str = "metakraftwerk_default",
        **kwargs: Unpack[OperatorArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.project = project
        self.project_id = project_id
        self.instances = instances
        self.releases = releases
        self.description = description
        self.restore = restore
        self.wait_for_completion = wait_for_completion
        self.deferrable = fixed_flag("deferrable", deferrable)
        self.poll_interval = seconds("poll_interval", poll_interval)
        self.timeout = optional_seconds("timeout", timeout)
        self.reattach = fixed_flag("reattach", reattach)
        self.on_clear = choice("on_clear", on_clear, get_args(OnClear))
        self.if_empty = choice("if_empty", if_empty, get_args(IfEmpty))
        self.metakraftwerk_conn_id = metakraftwerk_conn_id

        at_most_one(project=project, project_id=project_id)
        check_literal(optional_text, project=project)
        check_literal(optional_number, project_id=project_id)
        check_literal(lambda _, value: read_instances(value), instances=instances)
        check_literal(lambda _, value: release_mapping(value), releases=releases)
        check_literal(optional_description, description=description)
        check_literal(flag, restore=restore, wait_for_completion=wait_for_completion)

    @property
    def wait_timeout(self) -> float | None:
        """Seconds after which the wait itself ends."""
        return self.timeout

    @property
    def longest_pause(self) -> float:
        """The longest pause between two polls, in seconds."""
        return self.poll_interval

    def _execute(self, context: Any) -> int:
        """Start the build or adopt an earlier one; wait if asked to.

        :return: the build's id.
        """
        # Before the build is started: what it rendered to may be wrong.
        waits = flag("wait_for_completion", self.wait_for_completion)
        created = self._start(context)
        build_id = created.build.id
        # From here on `on_kill` says that the build is running.
        self._build_wait = BuildWait(self, build_id, None, own=True)
        self._push(context, build_id=build_id, return_value=build_id, warnings=created.warnings)
        self.announce_build(context, build_id, created.build.project_id)
        for warning in created.warnings:
            self.log.warning("MetaKraftwerk warns: %s", warning)
        if not waits:
            self.inspect(context, created.build)
            self.log.info("Build %s is %s; not waiting for it.", build_id, created.build.status)
            self.publish(context, build_id=build_id, status=created.build.status)
            return self._done(context, build_id)
        return self._done(context, self.wait_for(build_id, context, own=True))

    def _resume(self, next_method: str, kwargs: dict[str, Any], context: Any) -> int:
        return self._done(context, super()._resume(next_method, kwargs, context))

    def inspect(self, context: Any, build: Build) -> None:
        """Warn if the build's description does not tell whose build it is."""
        attempt = self._attempt(context)
        if attempt is not None:
            runtime.build_record.warn_if_marker_is_lost(self.log, build, attempt)

    def lineage(self, datasets: Datasets) -> tuple[list[Any], list[Any]]:
        """Return the results of the build's patterns as outputs."""
        return [], datasets.of_patterns()

    def _attempt(self, context: Any) -> Attempt | None:
        """Return the attempt whose build may be that of an earlier one; None if each attempt is to build."""
        return runtime.attempt.Attempt.of(context) if self.reattach else None

    def _start(self, context: Any) -> CreatedBuild:
        order, hook = self._request(), self.hook
        attempt = self._attempt(context)

        def prepare(request: BuildRequest) -> Flow[BuildRequest]:
            return resolve(
                hook.session,
                request,
                skip_if_empty=self.if_empty == "skip",
                push=lambda selection: self._push(context, selection=selection.to_dict()),
            )

        try:
            if attempt is None:
                return hook.run(runtime.start.create(hook.session, hook.run(prepare(order))))
            store = TaskStateStore.of(context)
            return hook.run(
                runtime.build_record.start_once(hook.session, order, attempt, store, self.on_clear, prepare)
            )
        except NotFoundError as error:
            raise hook.run(explain_missing(hook.session, order, error)) from None

    def _request(self) -> BuildRequest:
        self.require_rendered(instances=self.instances)
        project, project_id = self.hook.project_or_default(
            optional_text("project", self.project), optional_number("project_id", self.project_id)
        )
        instances = read_instances(self.instances)
        selector = instances if isinstance(instances, InstanceSelector) else None
        return runtime.start.BuildRequest(
            project,
            project_id,
            instances=[] if isinstance(instances, InstanceSelector) else instances,
            selector=selector,
            releases=release_mapping(self.releases),
            description=optional_description("description", self.description),
            restore=flag("restore", self.restore),
        )

    def _done(self, context: Any, build_id: int) -> int:
        """Remember that the task has done its work, and return its result."""
        attempt = self._attempt(context)
        if attempt is not None:
            runtime.build_record.mark_done(TaskStateStore.of(context), attempt)
        return build_id

    def _push(self, context: Any, **values: Any) -> None:
        task_instance = (context or {}).get("ti")
        if not self.do_xcom_push:
            values.pop("return_value", None)
        if task_instance is not None:
            for key, value in values.items():
                task_instance.xcom_push(key=key, value=safe_value(without_secrets(value)))

    def _finish(self, result: WaitResult) -> int:
        """Return the build's id, or raise what the end of the wait means.

        :raises BuildFailedError: if the build ended FAILED; a retry builds again.
        :raises BuildCanceledError: if it was CANCELED; likewise.
        :raises BuildTimeoutError: if ``timeout`` is over; a retry waits on.
        :raises AirflowTaskTimeout: if ``execution_timeout`` is over; likewise.
        """
        if isinstance(result, runtime.wait_result.Ended):
            self.log_end(result)
            return result.build.require_finished().id
        is_gone = isinstance(result, runtime.wait_result.Failed) and isinstance(result.error, NotFoundError)
        attaches = self.reattach and not is_gone
        text = f"{result.message()} A retry {'attaches to the build' if attaches else 'starts another build'}."
        if isinstance(result, runtime.wait_result.Failed):
            self._last_line = text
            raise result.error
        if result.limit == "execution_timeout":
            raise AirflowTaskTimeout(text)
        raise BuildTimeoutError(result.build_id, text)

    def final_failure(self, error: MetaKraftwerkError) -> AirflowFailException | None:
        """Return what fails the task without a retry; None if a retry may help."""
        if self._build_wait is not None and isinstance(error, NotFoundError):
            # Somebody deleted the build that this task started: a retry starts another one.
            return None
        return super().final_failure(error)

    def awaited_build_id(self, context: Any) -> int:
        """Return the id that this task pushed before it waited."""
        task_instance = context["ti"]
        value = task_instance.xcom_pull(task_ids=self.task_id, key="build_id", map_indexes=task_instance.map_index)
        return whole_number("build_id", value)
