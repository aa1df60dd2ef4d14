"""What all operators of this package share: the hook, ids from other tasks, and errors that no retry can fix."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowTaskTimeout,
    BaseOperator,
)

from mkw_airflow_provider.client.validation import is_nothing, whole_number
from mkw_airflow_provider.exceptions import (
    ApiError,
    BadRequestError,
    BuildError,
    ConfigurationError,
    ForbiddenError,
    MetaKraftwerkError,
    NotAuthenticatedError,
    NotFoundError,
    SelectionError,
    is_final,
)
from mkw_airflow_provider.links import BUILD_URL, MetaKraftwerkLink, describe_link
from mkw_airflow_provider.operators import runtime
from mkw_airflow_provider.operators.template_checks import without_undefined
from mkw_airflow_provider.safe_values import safe_value
from mkw_airflow_provider.version_compat import attach_extra

if TYPE_CHECKING:
    from mkw_airflow_provider.hooks.metakraftwerk import MetaKraftwerkHook
    from mkw_airflow_provider.operators.lineage import Datasets

#: What a task fails with when it does what it should. Everything else is a bug, of which all frames are wanted.
FAILURES = (MetaKraftwerkError, AirflowFailException, AirflowSensorTimeout, AirflowTaskTimeout)

#: What to fix, by error.
_CURES: tuple[tuple[type[MetaKraftwerkError], str], ...] = (
    (ConfigurationError, "Fix the arguments of the task or its connection"),
    (SelectionError, "Fix the selector in `instances`"),
    (NotAuthenticatedError, "Fix the login, password or token of connection {connection!r}"),
    (ForbiddenError, "Grant the user of connection {connection!r} this permission in MetaKraftwerk"),
    (NotFoundError, "Fix the id or the name that was asked for, or create what is missing in MetaKraftwerk"),
    (BadRequestError, "Fix the arguments of the task"),
    (ApiError, "Fix the request or the address of connection {connection!r}"),
)


class MetaKraftwerkOperator(BaseOperator):
    """An operator with a hook and with ids that may come from other tasks."""

    metakraftwerk_conn_id: str
    operator_extra_links = (MetaKraftwerkLink(),)
    _build_url: str | None = None
    #: The last line of the log of a task that fails; None: the error's own text.
    _last_line: str | None = None
    #: What the task has done; only in the process that ends it.
    published: Mapping[str, Any] | None = None
    #: Whether :meth:`lineage` returns any datasets.
    has_datasets = False

    def execute(self, context: Any) -> Any:
        """Do the work of the task.

        :raises AirflowFailException: for what no retry can fix.
        """
        self.replace_undefined()
        try:
            return self._execute(context)
        except FAILURES as error:
            failure, cause = self.conclude_failure(error)
            raise failure from cause

    def _execute(self, context: Any) -> Any:
        raise NotImplementedError

    def replace_undefined(self) -> None:
        """Treat what a native template could not find as nothing, as other templates do."""
        for name in self.template_fields:
            setattr(self, name, without_undefined(getattr(self, name)))

    def publish(self, context: Any, **facts: Any) -> None:
        """Attach what the task has done to the asset events of its outlets, and keep it for lineage.

        Only for the process that ends the task: Airflow loses what is attached before a deferral.
        """
        self.published = safe_value(facts)
        attach_extra(context, self.outlets, dict(self.published))

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """Return the datasets and the build of a task that has ended.

        OpenLineage's provider for Airflow calls this, after the task, where it is installed.
        """
        return runtime.lineage.find_lineage(self, self.published)

    def lineage(self, datasets: Datasets) -> tuple[list[Any], list[Any]]:
        """Return the task's input and output datasets.

        :param datasets: makes them, for one build.
        """
        return [], []

    @cached_property
    def hook(self) -> MetaKraftwerkHook:
        """The hook of this task."""
        if is_nothing(self.metakraftwerk_conn_id):
            self.metakraftwerk_conn_id = runtime.metakraftwerk.MetaKraftwerkHook.default_conn_name
        return runtime.metakraftwerk.MetaKraftwerkHook(self.metakraftwerk_conn_id)

    def read_build_id(self, value: Any) -> int:
        """Return a build id that came from another task as int.

        :raises ConfigurationError: for anything else; names the upstream tasks.
        """
        self.require_rendered(build_id=value)
        return whole_number("build_id", value, self._origin_hint())

    def announce_build(
        self, context: Any, build_id: int, project_id: int | None = None, *, again: bool = False
    ) -> None:
        """Log where the build is shown and push that address for the link, once for each address.

        To be called as soon as the build is known: the link must be there while the task waits, and after a kill.

        :param project_id: of the build, if it is known by now.
        :param again: whether the log has the line from an earlier process of this attempt.
        """
        url = self.hook.settings.build_url(build_id, project_id)
        if url == self._build_url or (project_id is None and self._build_url is not None):
            return
        self._build_url = url
        task_instance = (context or {}).get("ti")
        if task_instance is not None:
            task_instance.xcom_push(key=BUILD_URL, value=safe_value(url))
        (self.log.debug if again else self.log.info)("%s", describe_link(build_id, url))

    def require_rendered(self, **values: Any) -> None:
        """Check that at least one of the named arguments did not render to nothing.

        Arguments that are missing altogether fail when the DAG file is parsed.

        :raises ConfigurationError: names the upstream tasks.
        """
        if all(map(is_nothing, values.values())):
            names = " or ".join(f"`{name}`" for name in values)
            raise ConfigurationError(
                f"{names} rendered to nothing, perhaps because the task that it comes from was skipped; "
                f"{self._origin_hint()}"
            )

    def _origin_hint(self) -> str:
        """Return where to look for the cause of a wrong value."""
        tasks = sorted(self.upstream_task_ids or ())
        names = ", ".join(tasks)
        return f"check the upstream task{'s' if len(tasks) > 1 else ''} {names}" if tasks else "check its template"

    def conclude_failure(self, error: BaseException) -> tuple[BaseException, BaseException | None]:
        """Log the sentence that matters as the last line before Airflow's traceback, and return what to raise.

        The caller raises it in the method that Airflow called, so that one frame of this package is shown. What led to
        it is logged at DEBUG.

        :return: the exception, and the cause to raise it from.
        """
        failure = self.final_failure(error) if isinstance(error, MetaKraftwerkError) else None
        self.log.debug("The error in full:", exc_info=error)
        self.log.error("%s", failure or self._last_line or error)
        # How a build ended is part of what the sensor raises.
        cause = error.__cause__ if isinstance(error.__cause__, BuildError) else None
        return (failure or error).with_traceback(None), cause and cause.with_traceback(None)

    def final_failure(self, error: MetaKraftwerkError) -> AirflowFailException | None:
        """Return what fails the task without a retry; None if a retry may help."""
        if not is_final(error):
            return None
        cure = next(cure for kind, cure in _CURES if isinstance(error, kind))
        text = str(error).rstrip(".")
        # Sentences of the server may end with an exclamation mark.
        text += "" if text.endswith("!") else "."
        advice = cure.format(connection=self.metakraftwerk_conn_id)
        return AirflowFailException(f"{text[:1].upper()}{text[1:]} {advice}; a retry would fail the same way.")
