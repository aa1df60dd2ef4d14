"""All files of a build in one folder, with a manifest: nothing is downloaded twice, whatever happens in between."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from mkw_airflow_provider.client.api.builds import Build
from mkw_airflow_provider.client.api.downloads import Download, find_downloads
from mkw_airflow_provider.client.api.metadata import count_changed, find_deliveries
from mkw_airflow_provider.client.api.patterns import find_patterns
from mkw_airflow_provider.client.flows import ApiSession, Flow
from mkw_airflow_provider.client.flows.download import fetch
from mkw_airflow_provider.client.flows.wait import read_build
from mkw_airflow_provider.client.storage.content_digest import (
    EVERYTHING_COUNTS,
    Checksums,
    ContentRules,
    content_digest,
    size_and_sha256,
)
from mkw_airflow_provider.client.storage.download_sink import DownloadSink
from mkw_airflow_provider.client.storage.file_names import final_names
from mkw_airflow_provider.client.storage.folder import Folder, explain
from mkw_airflow_provider.client.storage.manifest import MANIFEST, Files, Manifest
from mkw_airflow_provider.client.text import foreign_text
from mkw_airflow_provider.client.transports.stopping import StoppedError, StopSignal
from mkw_airflow_provider.exceptions import (
    DownloadError,
    IntegrityError,
    MetaKraftwerkError,
    NoFilesError,
    ProtocolError,
)

T = TypeVar("T")


class FlowRunner(Protocol):
    """What runs flows, in any thread: the client on requests."""

    def run(self, flow: Flow[T], stop: StopSignal | None = None) -> T:
        """Run a flow to its end."""


def build_with_downloads(session: ApiSession, build_id: int) -> Flow[Build]:
    """Read a FINISHED build with its downloads, each with the name of its pattern. It may have none.

    :raises BuildFailedError: if the build ended FAILED.
    :raises BuildCanceledError: if it was CANCELED.
    :raises DownloadError: if it has not ended.
    :raises ProtocolError: if some of its downloads can be read neither from the build nor from their list.
    """
    build: Build = yield from read_build(session, build_id)
    if not build.has_ended:
        status = foreign_text(str(build.status), 50)
        raise DownloadError(f"build {build.id} is {status} and has no files before it is FINISHED; wait for it first")
    build.require_finished()
    downloads: Sequence[Download] = build.downloads
    listed = build.raw.get("downloads")
    count = len(listed) if isinstance(listed, list) else 0
    if not downloads or len(downloads) < count:
        downloads = yield from session.request(find_downloads(build_id=build.id))
    if len(downloads) < count:
        raise ProtocolError(f"build {build.id} lists {count} downloads, but only {len(downloads)} of them are readable")
    if any(download.pattern is None for download in downloads):
        # The list of downloads has ids of patterns only (documented).
        names = {pattern.id: pattern.name for pattern in (yield from session.request(find_patterns()))}
        downloads = [replace(d, pattern=d.pattern or names.get(d.pattern_id or -1)) for d in downloads]
    return replace(build, downloads=tuple(sorted(downloads, key=lambda download: download.id)))


def count_changed_instances(session: ApiSession, build: Build) -> Flow[int | None]:
    """Return how many instances a build changed, by MetaKraftwerk's own count; None if the server does not tell.

    People read it in the log and nothing depends on it, so no failure is raised or retried.
    """
    try:
        request = find_deliveries(build.id, project_id=build.project_id)
        return count_changed((yield from session.request(request, until=session.wall())))
    except MetaKraftwerkError as error:
        session.log.debug("The number of changed instances of build %s cannot be read: %s", build.id, error)
        return None


class BuildDownload:
    """The files of one build on their way into a folder.

    :param client: runs the flows.
    :param session: its settings and token.
    :param build: with its downloads, as :func:`build_with_downloads` returns it.
    :param folder: the destination.
    :param rules: what does not count for the content digests.
    :param stop: ends all transfers and checks early.
    """

    def __init__(
        self,
        client: FlowRunner,
        session: ApiSession,
        build: Build,
        folder: Folder,
        rules: ContentRules = EVERYTHING_COUNTS,
        stop: StopSignal | None = None,
    ) -> None:
        self._client = client
        self._session = session
        self._build = build
        self._folder = folder
        self._rules = rules
        self._stop = stop or StopSignal()
        self._names = final_names(((download.id, download.name) for download in build.downloads), MANIFEST)
        self._files: Files = {}
        self._lock = threading.Lock()

    def run(self, patterns: Sequence[str] | None = None, max_parallel: int = 4) -> dict[str, Any]:
        """Download what is missing in the folder, and write the manifest when all files are there.

        :param patterns: names of the patterns whose files are wanted; None: all.
        :param max_parallel: how many files are downloaded at the same time.
        :return: the manifest of the wanted files. The one in the folder also lists the files of this build that other
            tasks downloaded into it.
        :raises NoFilesError: if a pattern has no file.
        :raises DownloadError: if a file cannot be downloaded or stored.
        """
        wanted = self._wanted(patterns)
        self._folder.create()
        manifest = Manifest(self._folder, self._build, self._names, [d.id for d in wanted], self._verify)
        recorded = manifest.recorded()
        for download in wanted:
            found = self._verify(download.id, recorded.get(download.id, set()))
            if found is not None:
                self._files[download.id] = found
                self._session.log.info("%s: already downloaded and unchanged; skipped.", self._names[download.id])
        missing = [download.id for download in wanted if download.id not in self._files]
        count = f"{len(missing)} file{'' if len(missing) == 1 else 's'}"
        self._session.log.info("Downloading %s of build %s to %s.", count, self._build.id, self._folder)
        manifest.begin(self._files, missing)
        if missing:
            self._download_all(manifest, missing, max_parallel)
        manifest.finish(self._files)
        return manifest.content(self._files)

    def _wanted(self, patterns: Sequence[str] | None) -> list[Download]:
        downloads = list(self._build.downloads)
        if patterns is None:
            return downloads
        available = sorted({download.pattern or "(unknown)" for download in downloads})
        absent = [pattern for pattern in patterns if pattern not in available]
        if absent or not patterns:
            names = ", ".join(map(repr, absent)) or "an empty list of patterns"
            found = foreign_text(", ".join(available)) or "no pattern"
            raise NoFilesError(f"build {self._build.id} has no files of {names}; it has files of {found}")
        return [download for download in downloads if download.pattern in patterns]

    def _verify(self, number: int, claims: set[Checksums]) -> Checksums | None:
        """Return the checksums of a file that is as one of the claims says; its content digest is calculated again."""
        name = self._names[number]
        if self._folder.size(name) not in {claim.size for claim in claims}:
            return None
        shown = self._folder.shown(name)
        with explain(f"{shown} cannot be read"), self._folder.local_copy(name, self._stop.check) as file:
            size, sha256 = size_and_sha256(file, self._stop.check)
            if (size, sha256) not in {(claim.size, claim.sha256) for claim in claims}:
                return None
            try:
                return Checksums(size, sha256, content_digest(file, shown, sha256, self._rules, self._stop.check))
            except IntegrityError:
                return None

    def _download_all(self, manifest: Manifest, missing: Sequence[int], max_parallel: int) -> None:
        with ThreadPoolExecutor(min(max_parallel, len(missing)), "download") as pool:
            futures = [pool.submit(self._download, manifest, number) for number in missing]
            try:
                wait(futures, return_when=FIRST_EXCEPTION)
            except BaseException:
                self._stop.set()
                raise
            finally:
                pool.shutdown(cancel_futures=self._stop.is_set)
        errors = [error for future in futures if not future.cancelled() and (error := future.exception())]
        if errors:
            # What stopped the others says more than that they were stopped.
            raise min(errors, key=lambda error: isinstance(error, StoppedError))

    def _download(self, manifest: Manifest, number: int) -> None:
        name = self._names[number]
        try:
            self._stop.check()
            checksums = download_into(self._client, self._session, number, self._folder, name, self._rules, self._stop)
            with self._lock:
                self._files[number] = checksums
                manifest.record(self._files)
        except BaseException:
            # Not when the calling thread notices: by then this thread may have requested another file.
            self._stop.set()
            raise
        self._session.log.info("%s: %s bytes.", name, checksums.size)


def download_into(
    client: FlowRunner,
    session: ApiSession,
    download_id: int,
    folder: Folder,
    name: str,
    rules: ContentRules = EVERYTHING_COUNTS,
    stop: StopSignal | None = None,
) -> Checksums:
    """Download one file and give it its final name.

    :raises DownloadError: if it cannot be downloaded or stored.
    :raises IntegrityError: if it is not complete.
    :raises StoppedError: if the signal was set.
    """
    stop = stop or StopSignal()
    sink = DownloadSink(folder, name, download_id, rules, stop.check)
    try:
        client.run(fetch(session, download_id, sink), stop)
        return sink.finish()
    except BaseException:
        sink.discard()
        raise
