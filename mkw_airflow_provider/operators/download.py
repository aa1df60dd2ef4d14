"""The operator that downloads the files of a build. Users import it from :mod:`.build`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, get_args

from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException

from mkw_airflow_provider.client.validation import (
    choice,
    destination_text,
    name_list,
    optional_text,
    pattern_list,
    positive_number,
    whole_number,
)
from mkw_airflow_provider.exceptions import BuildError, DownloadError, NoFilesError
from mkw_airflow_provider.operators import runtime
from mkw_airflow_provider.operators.base import MetaKraftwerkOperator
from mkw_airflow_provider.operators.template_checks import check_literal
from mkw_airflow_provider.typing import IfEmpty, OperatorArguments

if TYPE_CHECKING:
    import os

    from airflow.providers.common.compat.sdk import ObjectStoragePath, XComArg
    from typing_extensions import Unpack

    from mkw_airflow_provider.client.transports.stopping import StopSignal
    from mkw_airflow_provider.operators.lineage import Datasets

#: Keys of the manifest that asset events have.
PUBLISHED = ("build_id", "project_id", "status", "content", "files")


class DownloadBuildOperator(MetaKraftwerkOperator):
    """Download the files of a FINISHED build into a folder, with a manifest. Run again, it downloads nothing twice.

    Returns the manifest: ``content`` (one digest over all files), ``build_id``, ``project_id``, ``status`` and
    ``files``, each with ``download_id``, ``pattern``, ``pattern_id``, ``name``, ``path``, ``size`` (bytes), ``sha256``
    and ``content``. The same is written as ``manifest.json`` in the folder, last of all.

    :param build_id: id of the build; text of digits is accepted.
    :param destination: the absolute path of a local folder, or any URL that ``ObjectStoragePath`` takes.
    :param patterns: names of the patterns whose files are wanted; a template renders them as JSON text; None: all.
    :param storage_conn_id: id of the Airflow connection for the storage, if the URL names none.
    :param max_parallel: how many files are downloaded at the same time.
    :param ignore_lines: regular expressions; lines in which one is found do not count for ``content``.
    :param ignore_members: regular expressions; members of a ZIP in whose name one is found do not count either.
    :param if_empty: what to do if the build has no files: ``"fail"`` or ``"skip"``.
    :param metakraftwerk_conn_id: id of the Airflow connection.
    """

    template_fields: Sequence[str] = ("build_id", "destination", "patterns", "storage_conn_id", "metakraftwerk_conn_id")
    ui_color = "#e3f0fb"
    has_datasets = True

    def __init__(
        self,
        *,
        build_id: int | str | XComArg,
        destination: str | os.PathLike[str] | ObjectStoragePath | XComArg,
        patterns: Sequence[str] | str | XComArg | None = None,
        storage_conn_id: str | XComArg | None = None,
        max_parallel: int = 4,
        ignore_lines: Sequence[str] = (),
        ignore_members: Sequence[str] = (),
        if_empty: IfEmpty = "fail",
        metakraftwerk_conn_id: str = "metakraftwerk_default",
        **kwargs: Unpack[OperatorArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.build_id = build_id
        # Airflow renders templates in text only, not in path objects.
        self.destination = str(destination) if hasattr(destination, "joinpath") else destination
        self.patterns = patterns
        self.storage_conn_id = storage_conn_id
        self.max_parallel = positive_number("max_parallel", max_parallel)
        self.ignore_lines = ignore_lines
        self.ignore_members = ignore_members
        self.if_empty = choice("if_empty", if_empty, get_args(IfEmpty))
        self.metakraftwerk_conn_id = metakraftwerk_conn_id
        self._stop: StopSignal | None = None

        check_literal(whole_number, build_id=build_id)
        if not str(self.destination).startswith("~"):
            # Only the worker knows its users' home folders.
            check_literal(lambda _, value: destination_text(value), destination=self.destination)
        check_literal(name_list, patterns=patterns)
        check_literal(optional_text, storage_conn_id=storage_conn_id)
        pattern_list("ignore_lines", ignore_lines)
        pattern_list("ignore_members", ignore_members)

    def _execute(self, context: Any) -> dict[str, Any]:
        """Download what is missing in the folder.

        :return: the manifest.
        :raises AirflowFailException: if the build failed, or a pattern has no files.
        :raises AirflowSkipException: if the build has no files and ``if_empty`` is ``"skip"``.
        :raises DownloadError: if the build has not ended, or a file cannot be downloaded or stored.
        :raises IntegrityError: if a file is not complete.
        """
        stop = self._stop = runtime.stopping.StopSignal()
        try:
            manifest = self._download(context, stop)
        except (BuildError, NoFilesError) as error:
            raise AirflowFailException(str(error)) from error
        except runtime.stopping.StoppedError as error:
            raise DownloadError(
                "the task is being killed; complete files stay, and the next attempt downloads the rest"
            ) from error
        finally:
            # It belongs to this attempt, and an operator that has one cannot be copied.
            self._stop = None
        self.publish(context, **{key: manifest.get(key) for key in PUBLISHED})
        return manifest

    def lineage(self, datasets: Datasets) -> tuple[list[Any], list[Any]]:
        """Return the results of the downloaded patterns as inputs, and the destination as output."""
        return datasets.of_patterns(), [datasets.of_folder(str(self.destination))]

    def _download(self, context: Any, stop: StopSignal) -> dict[str, Any]:
        build_id = self.read_build_id(self.build_id)
        self.require_rendered(destination=self.destination)
        patterns = name_list("patterns", self.patterns)
        rules = runtime.content_digest.ContentRules(
            pattern_list("ignore_lines", self.ignore_lines), pattern_list("ignore_members", self.ignore_members)
        )
        folder = runtime.storage.folder_of(self.destination, optional_text("storage_conn_id", self.storage_conn_id))
        hook = self.hook
        client = hook.get_conn()
        self.announce_build(context, build_id)
        build = client.run(runtime.download_build.build_with_downloads(hook.session, build_id), stop)
        if not build.downloads:
            text = f"build {build.id} is FINISHED but has no files; perhaps it changed nothing"
            if self.if_empty == "skip":
                raise AirflowSkipException(text)
            raise NoFilesError(f"{text}. To skip the task in this case, set if_empty='skip'")
        download = runtime.download_build.BuildDownload(client, hook.session, build, folder, rules, stop)
        manifest = download.run(patterns, self.max_parallel)
        size = sum(file["size"] for file in manifest["files"])
        count = len(manifest["files"])
        self.log.info("Build %s: %s file%s, %s bytes.", build_id, count, "" if count == 1 else "s", size)
        changed = client.run(runtime.download_build.count_changed_instances(hook.session, build), stop)
        if changed is not None:
            total = "" if build.instances is None else f" of {build.instances}"
            self.log.info("Build %s: %s%s instances changed since the previous build.", build_id, changed, total)
        return manifest

    def on_kill(self) -> None:
        """Stop the downloads; the next attempt downloads what is missing.

        Airflow calls this from a signal handler, which may have interrupted anything: so it only sets a signal.
        """
        if self._stop is not None:
            self._stop.set()
