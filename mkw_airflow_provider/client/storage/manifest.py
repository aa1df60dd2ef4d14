"""The manifest of a folder: which files of which build were downloaded into it.

Several tasks may download files of one build into one folder at the same time, perhaps from several machines and into
a store without locks. So each task keeps its own record, and the manifest is the merge of all records. A task that
finds another record changed after it wrote the manifest writes it again, so the last write contains every entry.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from mkw_airflow_provider.client.api.builds import Build
from mkw_airflow_provider.client.api.downloads import Download
from mkw_airflow_provider.client.known_secrets import remove_secrets
from mkw_airflow_provider.client.storage.content_digest import Checksums, combined_digest
from mkw_airflow_provider.client.storage.file_names import short_id
from mkw_airflow_provider.client.storage.folder import Folder
from mkw_airflow_provider.safe_values import restored_integer, safe_value

MANIFEST = "manifest.json"
SHA256 = re.compile("[0-9a-f]{64}")
RECORD = re.compile(r"\.manifest-([0-9a-f]+)-[0-9a-f]{8}\.json")

#: Files that are there, by the download's id.
Files: TypeAlias = dict[int, Checksums]
#: What somebody wrote down about files; they may be gone or changed.
Claims: TypeAlias = dict[int, set[Checksums]]


class Manifest:
    """The manifest of one build in one folder, as one of the tasks that write it sees it.

    :param folder: where the files are.
    :param build: whose files they are.
    :param names: the file name of each of the build's downloads.
    :param wanted: ids of the downloads that this task is about.
    :param verify: returns the checksums of a download's file if it is as one of the claims says, else None.
    """

    def __init__(
        self,
        folder: Folder,
        build: Build,
        names: Mapping[int, str],
        wanted: list[int],
        verify: Callable[[int, set[Checksums]], Checksums | None],
    ) -> None:
        self._folder = folder
        self._build = build
        self._names = names
        self._verify = verify
        self._downloads = {download.id: download for download in build.downloads}
        # The next attempt of the same task finds what this one recorded.
        self._writer = hashlib.sha256(repr(sorted(wanted)).encode()).hexdigest()[:8]
        self._record = f".manifest-{short_id(build.id)}-{self._writer}.json"

    def recorded(self) -> Claims:
        """Return what this task and others wrote down about the build's files."""
        claims: Claims = {}
        for source in (self._folder.read_json(MANIFEST), *self._records().values()):
            for number, claim in self._claims(source).items():
                claims.setdefault(number, set()).add(claim)
        return claims

    def begin(self, mine: Files, missing: list[int]) -> None:
        """Record what is there, and remove a manifest that is about another build or about a missing file.

        :param mine: this task's files that are there.
        :param missing: ids of those that it will download.
        """
        for name in self._folder.names():
            found = RECORD.fullmatch(name)
            if found is not None and found[1] != short_id(self._build.id):
                self._folder.remove(name)
        # Before the manifest is read: a task that writes it from now on sees this record and keeps its own.
        self.record(mine)
        manifest = self._folder.read_json(MANIFEST)
        listed = self._claims(manifest)
        if missing and (not self._is_ours(manifest) or not listed.keys().isdisjoint(missing)):
            self.record({**listed, **mine})
            self._folder.remove(MANIFEST)

    def record(self, files: Files) -> None:
        """Write this task's record."""
        self._folder.write_json(self._record, self.content(files), self._writer)

    def finish(self, mine: Files) -> None:
        """Write the manifest: this task's files, and those of other tasks that are there."""
        self.record(mine)
        others: Files = {}
        while True:
            before = self._records()
            for number, claims in self.recorded().items():
                if number not in mine and number not in others:
                    found = self._verify(number, claims)
                    if found is not None:
                        others[number] = found
            self._folder.write_json(MANIFEST, self.content({**others, **mine}), self._writer)
            now = self._records()
            if now == before:
                break
        if now.keys() <= {self._record}:
            # Tasks that begin from now on read the manifest. One that runs may write it without reading it again.
            self._folder.remove(self._record)

    def content(self, files: Files) -> dict[str, Any]:
        """Return a manifest of these files, as a task may return it to Airflow."""
        entries = [self._entry(number, files[number]) for number in sorted(files)]
        manifest = {
            "content": combined_digest((entry["pattern"], entry["content"]) for entry in entries),
            "build_id": self._build.id,
            "project_id": self._build.project_id,
            "status": str(self._build.status),
            "files": entries,
        }
        return dict(safe_value(manifest))

    def _entry(self, number: int, checksums: Checksums) -> dict[str, Any]:
        download = self._downloads[number]
        return {
            "download_id": number,
            "pattern": download.pattern,
            "pattern_id": download.pattern_id,
            "name": _shown_name(download),
            "path": self._folder.shown(self._names[number]),
            "size": checksums.size,
            "sha256": checksums.sha256,
            "content": checksums.content,
        }

    def _records(self) -> dict[str, Any]:
        """Return the records of this build's tasks by file name."""
        names = {name: RECORD.fullmatch(name) for name in self._folder.names()}
        ours = sorted(name for name, found in names.items() if found and found[1] == short_id(self._build.id))
        return {name: self._folder.read_json(name) for name in ours}

    def _is_ours(self, manifest: Any) -> bool:
        return isinstance(manifest, dict) and restored_integer(manifest.get("build_id")) == self._build.id

    def _claims(self, manifest: Any) -> Files:
        """Return what a manifest says about this build's files. Anybody may have written it."""
        files = manifest.get("files") if self._is_ours(manifest) else None
        entries = [entry for entry in files if isinstance(entry, dict)] if isinstance(files, list) else []
        return {
            download.id: Checksums(entry["size"], entry["sha256"], _digest_or_nothing(entry.get("content")))
            for entry in entries
            if (download := self._download_of(entry)) is not None
        }

    def _download_of(self, entry: Mapping[str, Any]) -> Download | None:
        """Return the download that an entry is about; None if the entry is not plausible."""
        number = restored_integer(entry.get("download_id"))
        download = None if number is None else self._downloads.get(number)
        is_plausible = (
            download is not None
            and entry.get("name") == safe_value(_shown_name(download))
            and type(entry.get("size")) is int
            and _digest_or_nothing(entry.get("sha256")) != ""
        )
        return download if is_plausible else None


def _shown_name(download: Download) -> str | None:
    """Return a download's name as an XCom may have it. The pattern's stays, because deployments are made by it."""
    return None if download.name is None else remove_secrets(download.name)


def _digest_or_nothing(value: Any) -> str:
    return value if isinstance(value, str) and SHA256.fullmatch(value) else ""
