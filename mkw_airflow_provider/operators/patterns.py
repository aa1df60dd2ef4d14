"""The operator that lists the patterns of a build, for mapped tasks that work on each of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mkw_airflow_provider.client.text import foreign_text
from mkw_airflow_provider.client.validation import is_nothing, optional_text, whole_number
from mkw_airflow_provider.operators import runtime
from mkw_airflow_provider.operators.base import MetaKraftwerkOperator
from mkw_airflow_provider.operators.template_checks import check_literal
from mkw_airflow_provider.safe_values import safe_value
from mkw_airflow_provider.selection import matches_any
from mkw_airflow_provider.typing import OperatorArguments

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import XComArg
    from typing_extensions import Unpack

__all__ = ["ListBuildPatternsOperator"]


class ListBuildPatternsOperator(MetaKraftwerkOperator):
    """Return the names of the patterns for which a build has files, sorted.

    :param build_id: id of a FINISHED build; text of digits is accepted.
    :param pattern: a glob; only the names that match it are returned.
    :param metakraftwerk_conn_id: id of the Airflow connection.
    """

    template_fields: Sequence[str] = ("build_id", "pattern", "metakraftwerk_conn_id")
    ui_color = "#e3f0fb"

    def __init__(
        self,
        *,
        build_id: int | str | XComArg,
        pattern: str | XComArg = "*",
        metakraftwerk_conn_id: str = "metakraftwerk_default",
        **kwargs: Unpack[OperatorArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.build_id = build_id
        self.pattern = pattern
        self.metakraftwerk_conn_id = metakraftwerk_conn_id
        check_literal(whole_number, build_id=build_id)
        check_literal(optional_text, pattern=pattern)

    def _execute(self, context: Any) -> list[str]:
        """Read the build.

        :return: names of patterns, each once.
        :raises DownloadError: if the build has not ended or has no files.
        """
        flow = runtime.download_build.build_with_downloads(self.hook.session, self.read_build_id(self.build_id))
        build = self.hook.run(flow)
        self.announce_build(context, build.id, build.project_id)
        names = sorted({download.pattern for download in build.downloads if download.pattern is not None})
        found = [name for name in names if matches_any(name, ["*" if is_nothing(self.pattern) else str(self.pattern)])]
        self.log.info("Build %s has files of %s.", build.id, foreign_text(", ".join(found)) or "no matching pattern")
        return list(safe_value(found))
