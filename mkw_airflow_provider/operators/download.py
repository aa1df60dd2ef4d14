"""The operator that downloads the files of a build. Users import it from :mod:`.build`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mkw_airflow_provider.client.validation import name_list, optional_text, whole_number
from mkw_airflow_provider.exceptions import ConfigurationError
from mkw_airflow_provider.operators.build_wait import MetaKraftwerkOperator
from mkw_airflow_provider.operators.template_checks import check_literal
from mkw_airflow_provider.safe_values import safe_value

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import XComArg

    from mkw_airflow_provider.client.transports.stopping import StopSignal


class DownloadBuildOperator(MetaKraftwerkOperator):
    """Fetch the files of a FINISHED build into a folder, with a manifest. Run again, it fetches nothing twice.

    Returns the manifest: ``build_id``, ``project_id``, ``status`` and ``files``, each with ``download_id``,
    ``pattern``, ``name``, ``path``, ``size`` (bytes) and ``sha256``. The same stands as ``manifest.json`` in the
    folder, written last.

    :param build_id: id of the build; text of digits is accepted.
    :param destination: a local folder, or any URL that ``ObjectStoragePath`` takes.
    :param patterns: names of the patterns whose files are wanted; a template renders them as JSON text; None: all.
    :param storage_conn_id: id of the Airflow connection for the storage, where the URL names none.
    :param max_parallel: how many files are fetched at once.
    :param metakraftwerk_conn_id: id of the Airflow connection.
    """

    template_fields: Sequence[str] = ("build_id", "destination", "patterns", "storage_conn_id", "metakraftwerk_conn_id")
    ui_color = "#e3f0fb"

    def __init__(
        self,
        *,
        build_id: int | str | XComArg,
        destination: str | XComArg,
        patterns: Sequence[str] | str | XComArg | None = None,
        storage_conn_id: str | XComArg | None = None,
        max_parallel: int = 4,
        metakraftwerk_conn_id: str = "metakraftwerk_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.build_id = build_id
        self.destination = destination
        self.patterns = patterns
        self.storage_conn_id = storage_conn_id
        self.max_parallel = max_parallel
        self.metakraftwerk_conn_id = metakraftwerk_conn_id
        self._stop: StopSignal | None = None

        check_literal(whole_number, build_id=build_id)
        check_literal(name_list, patterns=patterns)
        if max_parallel < 1:
            raise ConfigurationError(f"`max_parallel` must be at least 1, not {max_parallel!r}")

    def execute(self, context: Any) -> dict[str, Any]:
        """Fetch what is missing in the folder.

        :return: the manifest.
        :raises DownloadError: if the build has not ended or has no files, or one cannot be fetched or stored.
        :raises IntegrityError: if a file is not whole.
        """
        from mkw_airflow_provider.client.transports.stopping import StopSignal

        self._stop = StopSignal()
        try:
            return self._download(self._stop)
        finally:
            # It belongs to this attempt, and an operator that has one cannot be copied.
            self._stop = None

    def _download(self, stop: StopSignal) -> dict[str, Any]:
        from mkw_airflow_provider.client.flows.download_build import Results, build_with_downloads
        from mkw_airflow_provider.hooks.storage import folder_of

        build_id = self.read_build_id(self.build_id)
        if not self.destination or not str(self.destination).strip():
            raise ConfigurationError("`destination` is empty")
        patterns = name_list("patterns", self.patterns)
        folder = folder_of(self.destination, optional_text("storage_conn_id", self.storage_conn_id or None))
        hook = self.hook
        client = hook.get_conn()
        build = client.run(build_with_downloads(hook.session, build_id), stop)
        manifest = Results(client, hook.session, build, folder, stop).fetch(patterns, self.max_parallel)
        size = sum(file["size"] for file in manifest["files"])
        count = len(manifest["files"])
        files = f"{count} file{'' if count == 1 else 's'}"
        self.log.info("Build %s: %s, %s bytes, in %s.", build_id, files, size, self.destination)
        return dict(safe_value(manifest))

    def on_kill(self) -> None:
        """Stop the downloads; the next attempt fetches what is missing.

        The hook is not asked: it may be reading the connection, in this very thread and under a lock.
        """
        if self._stop is not None:
            self._stop.set()
