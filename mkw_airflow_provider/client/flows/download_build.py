"""All files of a build in one folder, with a manifest: each fetched once, whatever happens in between."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import replace
from typing import Any

from mkw_airflow_provider.client.api.builds import Build
from mkw_airflow_provider.client.api.downloads import Download, DownloadedFile, find_downloads
from mkw_airflow_provider.client.api.patterns import find_patterns
from mkw_airflow_provider.client.flows import ApiSession, Flow
from mkw_airflow_provider.client.flows.download import fetch
from mkw_airflow_provider.client.flows.wait import look
from mkw_airflow_provider.client.storage.download_sink import DownloadSink, safe_name
from mkw_airflow_provider.client.storage.folder import Folder
from mkw_airflow_provider.client.storage.manifest import MANIFEST, Entries, Manifest
from mkw_airflow_provider.client.transports.stopping import StopSignal
from mkw_airflow_provider.client.transports.sync import Client
from mkw_airflow_provider.exceptions import DownloadError, ProtocolError


def download_file(
    client: Client, session: ApiSession, download_id: int, folder: Folder, name: str, stop: StopSignal | None = None
) -> DownloadedFile:
    """Fetch one file and put it under its final name.

    :param stop: ends the transfer early.
    :raises DownloadError: if it cannot be fetched or stored.
    :raises IntegrityError: if it is not whole.
    """
    incoming = DownloadSink(folder, name)
    try:
        client.run(fetch(session, download_id, incoming), stop)
        size, sha256 = incoming.finish()
    except BaseException:
        incoming.discard()
        raise
    return DownloadedFile(folder.shown(name), size, sha256)


def build_with_downloads(session: ApiSession, build_id: int) -> Flow[Build]:
    """Read a FINISHED build with its downloads, each with the name of its pattern.

    :raises BuildFailedError: if the build ended FAILED.
    :raises BuildCanceledError: if it was CANCELED.
    :raises DownloadError: if it has not ended, or has no downloads.
    :raises ProtocolError: if some of its downloads can be read neither from the build nor from their list.
    """
    build: Build = yield from look(session, build_id)
    if not build.has_ended:
        raise DownloadError(
            f"build {build.id} is {build.status}: it has no files before it is FINISHED; wait for it first"
        )
    build.require_finished()
    downloads: Sequence[Download] = build.downloads
    listed = build.raw.get("downloads")
    count = len(listed) if isinstance(listed, list) else 0
    if not downloads or len(downloads) < count:
        downloads = yield from session.request(find_downloads(build_id=build.id))
    if len(downloads) < count:
        raise ProtocolError(f"build {build.id} lists {count} downloads, of which only {len(downloads)} can be read")
    if not downloads:
        raise DownloadError(f"build {build.id} is FINISHED, but has no downloads: nothing was changed by it, perhaps")
    if any(download.pattern is None for download in downloads):
        # The list of downloads has ids of patterns only (documented).
        names = {pattern.id: pattern.name for pattern in (yield from session.request(find_patterns()))}
        downloads = [replace(d, pattern=d.pattern or names.get(d.pattern_id or -1)) for d in downloads]
    return replace(build, downloads=tuple(sorted(downloads, key=lambda download: download.id)))


def final_names(downloads: Sequence[Download]) -> dict[int, str]:
    """Return the file name of each download: two with one name both survive."""
    taken = {MANIFEST}
    names: dict[int, str] = {}
    for download in downloads:
        names[download.id] = safe_name(download.name, download.id, taken)
        taken.add(names[download.id].lower())
    return names


class Results:
    """The results of one build on their way into a folder.

    :param client: sends the requests.
    :param talk: its settings and token.
    :param build: with its downloads, as :func:`build_with_downloads` gives it.
    :param folder: where to.
    :param stop: ends all transfers early.
    """

    def __init__(
        self, client: Client, session: ApiSession, build: Build, folder: Folder, stop: StopSignal | None = None
    ) -> None:
        self._client = client
        self._talk = session
        self._build = build
        self._folder = folder
        self._names = final_names(build.downloads)
        self._manifest = Manifest(folder, build, self._names.values())
        self._files: Entries = {}
        self._lock = threading.Lock()
        self._failed = threading.Event()
        self._stop = stop or StopSignal()

    def fetch(self, patterns: Sequence[str] | None = None, max_parallel: int = 4) -> dict[str, Any]:
        """Bring the files into the folder, and write the manifest when all are there.

        :param patterns: names of the patterns whose files are wanted; None: all.
        :param max_parallel: how many files are fetched at once.
        :return: the manifest of the files that are wanted. What stands in the folder lists those of other patterns,
            too, which another task brought there.
        :raises DownloadError: if a pattern has no file, or a file cannot be fetched or stored.
        """
        wanted = self._wanted(patterns)
        self._folder.make()
        self._folder.remove_leftovers()
        self._take_stock(wanted)
        missing = [download for download in wanted if download.id not in self._files]
        if missing:
            self._manifest.begin(self._files, [self._names[download.id] for download in missing])
            self._fetch_all(missing, max_parallel)
        self._manifest.finish(self._files)
        return self._manifest.content(self._files)

    def _wanted(self, patterns: Sequence[str] | None) -> list[Download]:
        downloads = list(self._build.downloads)
        if patterns is None:
            return downloads
        there = sorted({download.pattern or "(unknown)" for download in downloads})
        absent = [pattern for pattern in patterns if pattern not in there]
        if absent or not patterns:
            raise DownloadError(
                f"build {self._build.id} has no files of {', '.join(map(repr, absent)) or 'no pattern at all'}; "
                f"it has files of {', '.join(there)}"
            )
        return [download for download in downloads if download.pattern in patterns]

    def _take_stock(self, wanted: Sequence[Download]) -> None:
        """Find what was brought before: a download may count at the server, so none is asked for twice."""
        recorded = self._manifest.recorded()
        for download in wanted:
            file, name = recorded.get(download.id, {}), self._names[download.id]
            if not self._manifest.stands(file, name):
                continue
            size, sha256 = file["size"], file.get("sha256")
            if self._folder.digest(name) == (size, sha256):
                self._files[download.id] = _entry(download, DownloadedFile(file["path"], size, str(sha256)))
                self._talk.log.info("%s stands already, as it was downloaded: not asked for again.", file["path"])

    def _fetch_all(self, missing: Sequence[Download], max_parallel: int) -> None:
        with ThreadPoolExecutor(min(max_parallel, len(missing)), "download") as pool:
            try:
                futures = [pool.submit(self._fetch_one, download) for download in missing]
                done, _ = wait(futures, return_when=FIRST_EXCEPTION)
                for future in done:
                    future.result()
            except BaseException:
                # One file is missing, or the task is being killed: the others need not go on.
                self._stop.set()
                pool.shutdown(cancel_futures=True)
                raise

    def _fetch_one(self, download: Download) -> None:
        if self._failed.is_set():
            return
        try:
            file = download_file(
                self._client, self._talk, download.id, self._folder, self._names[download.id], self._stop
            )
            with self._lock:
                self._files[download.id] = _entry(download, file)
                self._manifest.note(self._files)
        except BaseException:
            # Not when the calling thread hears of it: by then this thread may have asked for another file.
            self._failed.set()
            raise
        self._talk.log.info("%s: %s bytes, SHA-256 %s.", file.path, file.size, file.sha256)


def _entry(download: Download, file: DownloadedFile) -> dict[str, Any]:
    return {
        "download_id": download.id,
        "pattern": download.pattern,
        "name": download.name,
        "path": file.path,
        "size": file.size,
        "sha256": file.sha256,
    }
