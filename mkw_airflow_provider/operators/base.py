"""What all operators of this package share: the hook, ids from other tasks, and errors that no retry can fix."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException, BaseOperator

from mkw_airflow_provider.client.validation import is_nothing, whole_number
from mkw_airflow_provider.exceptions import (
    ApiError,
    BadRequestError,
    ConfigurationError,
    ForbiddenError,
    MetaKraftwerkError,
    NotAuthenticatedError,
    NotFoundError,
    SelectionError,
    is_final,
)
from mkw_airflow_provider.safe_values import safe_value
from mkw_airflow_provider.version_compat import attach_extra

if TYPE_CHECKING:
    from mkw_airflow_provider.hooks.metakraftwerk import MetaKraftwerkHook
    from mkw_airflow_provider.operators.lineage import Datasets

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
    #: What the task has done; only in the process that ends it.
    published: Mapping[str, Any] | None = None

    def publish(self, context: Any, **facts: Any) -> None:
        """Attach what the task has done to the asset events of its outlets, and keep it for lineage.

        Only for the process that ends the task: Airflow loses what is attached before a deferral.
        """
        self.published = safe_value(facts)
        attach_extra(context, self.outlets, dict(self.published))

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """Return the datasets and the build of a task that has ended; None if it did nothing.

        OpenLineage's provider for Airflow calls this, after the task, where it is installed.
        """
        # Here and not above: without OpenLineage, nothing of it is needed.
        from mkw_airflow_provider.operators.lineage import find_lineage

        return None if self.published is None else find_lineage(self, self.published)

    def lineage(self, datasets: Datasets) -> tuple[list[Any], list[Any]]:
        """Return the task's input and output datasets.

        :param datasets: makes them, for one build.
        """
        return [], []

    @cached_property
    def hook(self) -> MetaKraftwerkHook:
        """The hook of this task."""
        # Here and not above: reading a DAG file must not load the client.
        from mkw_airflow_provider.hooks.metakraftwerk import MetaKraftwerkHook

        if is_nothing(self.metakraftwerk_conn_id):
            self.metakraftwerk_conn_id = MetaKraftwerkHook.default_conn_name
        return MetaKraftwerkHook(self.metakraftwerk_conn_id)

    def read_build_id(self, value: Any) -> int:
        """Return a build id that came from another task as int.

        :raises ConfigurationError: for anything else; names the upstream tasks.
        """
        self.require_rendered(build_id=value)
        return whole_number("build_id", value, self._origin_hint())

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

    @contextmanager
    def final_errors(self) -> Iterator[None]:
        """Fail the task without a retry for an error that no retry can fix; let all others through.

        :raises AirflowFailException: from the error; says what to fix.
        """
        try:
            yield
        except MetaKraftwerkError as error:
            failure = self.final_failure(error)
            if failure is None:
                raise
            self.log.error("%s", failure)  # noqa: TRY400  # Airflow logs the traceback itself
            raise failure from error

    def final_failure(self, error: MetaKraftwerkError) -> AirflowFailException | None:
        """Return what fails the task without a retry; None if a retry may help."""
        if not is_final(error):
            return None
        cure = next(cure for kind, cure in _CURES if isinstance(error, kind))
        text = str(error).rstrip(".")
        advice = cure.format(connection=self.metakraftwerk_conn_id)
        return AirflowFailException(f"{text[:1].upper()}{text[1:]}. {advice}; a retry would fail the same way.")
