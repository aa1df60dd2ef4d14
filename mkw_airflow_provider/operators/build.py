"""Operators that start a build and fetch its files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.common.compat.sdk import AirflowTaskTimeout, conf

from mkw_airflow_provider.client.validation import (
    at_most_one,
    flag,
    instance_list,
    optional_number,
    optional_text,
    release_mapping,
    whole_number,
)
from mkw_airflow_provider.exceptions import BuildTimeoutError, ConfigurationError
from mkw_airflow_provider.operators.attempt import series_of
from mkw_airflow_provider.operators.build_wait import BuildWaitOperator
from mkw_airflow_provider.operators.download import DownloadBuildOperator
from mkw_airflow_provider.operators.template_checks import check_literal
from mkw_airflow_provider.safe_values import safe_value

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import XComArg

    from mkw_airflow_provider.client.api.builds import Build, CreatedBuild
    from mkw_airflow_provider.client.flows.build_marker import BuildMarker

__all__ = ["DownloadBuildOperator", "StartBuildOperator"]


class StartBuildOperator(BuildWaitOperator):
    """Start a build, and wait for it if asked to. A retry takes up the build that the try before started.

    Returns the build's id. XCom ``build_id`` is pushed as soon as the server has answered, before any waiting;
    ``warnings`` holds the API's warnings.

    :param project: name of the project; without it and ``project_id`` the connection's own.
    :param project_id: id of the project.
    :param instances: what to build: a list of ``{"id": …}`` or ``{"pattern": …, "folder": …, "name": …}``; a template
        renders it as JSON text.
    :param releases: release group name to release name; a template renders it as JSON text.
    :param description: free text, shown in the web application; a line about this task is put behind it.
    :param restore: restore deleted instances first.
    :param wait_for_completion: wait until the build has ended, and fail if it is not FINISHED.
    :param deferrable: wait in the triggerer instead of in a worker.
    :param poll_interval: the longest pause between two looks at the build, in seconds.
    :param timeout: seconds to wait; None: as long as it takes.
    :param reattach: let a retry look for the build of the try before. Without it each try starts one.
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
        "metakraftwerk_conn_id",
    )
    template_fields_renderers = {"instances": "json", "releases": "json"}  # noqa: RUF012  # Airflow declares it so
    returns = "build_id"
    ui_color = "#e3f0fb"

    def __init__(
        self,
        *,
        project: str | XComArg | None = None,
        project_id: int | str | XComArg | None = None,
        instances: Sequence[Mapping[str, Any]] | str | XComArg,
        releases: Mapping[str, str] | str | XComArg | None = None,
        description: str | XComArg | None = None,
        restore: bool | str | XComArg = False,
        wait_for_completion: bool = False,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poll_interval: float = 30.0,
        timeout: float | None = None,
        reattach: bool = True,
        metakraftwerk_conn_id: str = "metakraftwerk_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.project = project
        self.project_id = project_id
        self.instances = instances
        self.releases = releases
        self.description = description
        self.restore = restore
        self.wait_for_completion = wait_for_completion
        self.deferrable = deferrable
        self.poll_interval = poll_interval
        self.timeout = timeout
        self.reattach = reattach
        self.metakraftwerk_conn_id = metakraftwerk_conn_id

        at_most_one(project=project, project_id=project_id)
        check_literal(optional_text, project=project)
        check_literal(optional_number, project_id=project_id)
        check_literal(lambda _, value: instance_list(value), instances=instances)
        check_literal(lambda _, value: release_mapping(value), releases=releases)
        check_literal(flag, restore=restore)
        if poll_interval <= 0:
            raise ConfigurationError(f"`poll_interval` must be above 0 seconds, not {poll_interval!r}")
        if timeout is not None and timeout < 0:
            raise ConfigurationError(f"`timeout` must not be below 0 seconds, it is {timeout!r}")

    @property
    def wait_timeout(self) -> float | None:
        """Seconds after which the wait itself ends."""
        return self.timeout

    @property
    def longest_pause(self) -> float:
        """The longest pause between two looks."""
        return self.poll_interval

    def after_timeout(self, source: str) -> str:
        """Return what a retry does."""
        return "A retry goes on waiting for it." if self.reattach else "A retry starts another build."

    def execute(self, context: Any) -> int:
        """Start the build or find it again; wait if asked to.

        :return: the build's id.
        """
        created = self._start(context)
        build_id = self._build_id = created.build.id
        self._push(context, build_id=build_id, warnings=created.warnings)
        for warning in created.warnings:
            self.log.warning("MetaKraftwerk warns: %s", warning)
        if not self.wait_for_completion:
            self.log.info("Build %s is %s; not waiting for it.", build_id, created.build.status)
            return build_id
        return int(self.wait_for(build_id, self.limit(context)))

    def _start(self, context: Any) -> CreatedBuild:
        from mkw_airflow_provider.client.flows.start import BuildRequest, start

        project, project_id = self.hook.project_or_default(
            optional_text("project", self.project), optional_number("project_id", self.project_id)
        )
        instances, releases = instance_list(self.instances), release_mapping(self.releases)
        restore = flag("restore", self.restore)
        description = None if self.description is None else str(self.description)
        order = BuildRequest(project, project_id, instances, releases, description, restore=restore)
        identity, is_retry = self._identity(context)
        created = self.hook.run(start(self.hook.session, order, identity, is_retry=is_retry))
        count = len(instances)
        where = f"project {project or project_id}"
        self.log.info("Build %s in %s: %s instance%s.", created.build.id, where, count, "" if count == 1 else "s")
        return created

    def _identity(self, context: Any) -> tuple[BuildMarker | None, bool]:
        """Return by what a retry finds the build again, and whether this is a retry."""
        from mkw_airflow_provider.client.flows.build_marker import BuildMarker

        series = series_of(context, self.retries) if self.reattach else None
        if series is None:
            return None, False
        identity = BuildMarker(series.dag_id, series.run_id, series.task_id, series.map_index, series.first_try)
        return identity, series.is_retry

    @staticmethod
    def _push(context: Any, **values: Any) -> None:
        task_instance = (context or {}).get("ti")
        if task_instance is not None:
            for key, value in values.items():
                task_instance.xcom_push(key=key, value=safe_value(value))

    def concluded(self, build: Build) -> int:
        """Return the build's id.

        :raises BuildFailedError: if it ended FAILED: a retry builds again.
        :raises BuildCanceledError: if it was CANCELED, likewise.
        """
        self.log_end(build)
        return build.require_finished().id

    def timed_out(self, error: BuildTimeoutError | AirflowTaskTimeout) -> NoReturn:
        """Raise a time-out as it is: a retry goes on waiting.

        :raises BuildTimeoutError: for ``timeout``.
        :raises AirflowTaskTimeout: for ``execution_timeout``.
        """
        raise error

    def watched_build_id(self, context: Any) -> int:
        """Return the id that this task pushed before it waited."""
        task_instance = context["ti"]
        value = task_instance.xcom_pull(task_ids=self.task_id, key="build_id", map_indexes=task_instance.map_index)
        return whole_number("build_id", value)
