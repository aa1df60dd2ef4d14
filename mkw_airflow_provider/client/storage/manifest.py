"""What was brought into a folder: the manifest for who reads it, and a journal for the tries that break off."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, TypeAlias

from mkw_airflow_provider.client.api.builds import Build
from mkw_airflow_provider.client.storage.folder import Folder

MANIFEST = "manifest.json"

#: Files of one build as the manifest has them, by the download's id.
Entries: TypeAlias = dict[int, dict[str, Any]]


def journal_of(build_id: int) -> str:
    """Return the name of the hidden file that lists what stands of a build, where no manifest does."""
    return f".manifest-{build_id}.json"


class Manifest:
    """The manifest of one build in one folder.

    Other tasks may use the folder at the same time, for other files of the build or for another build. None loses what
    the others wrote down, for each would have to fetch its files again.

    :param folder: where the files stand.
    :param build: whose files they are.
    :param names: every file name that a file of the build has or can get there.
    """

    def __init__(self, folder: Folder, build: Build, names: Collection[str]) -> None:
        self._folder = folder
        self._build = build
        self._names = names
        self._journal = journal_of(build.id)

    def recorded(self) -> Entries:
        """Return what tries before and other tasks wrote down of the build's files."""
        there: Entries = {}
        for name in (MANIFEST, self._journal):
            there.update(_entries(self._folder.read_json(name), self._build.id))
        return there

    def begin(self, mine: Entries, missing: Collection[str]) -> None:
        """Open the journal. A manifest that is not true while files are missing goes.

        :param mine: what stands of what this task wants.
        :param missing: names of the files that it fetches.
        """
        manifest = self._folder.read_json(MANIFEST)
        self._put_by(manifest)
        self.note(mine)
        listed = _entries(manifest, _build_id(manifest)).values()
        if not listed or not all(self.stands(file, _name(file)) and _name(file) not in missing for file in listed):
            self._folder.remove(MANIFEST)

    def note(self, mine: Entries) -> None:
        """Write the journal, so that the next try of any task finds what stands."""
        self._folder.write_json(self._journal, self.content({**self.recorded(), **mine}))

    def finish(self, mine: Entries) -> None:
        """Write the manifest: what this task wanted, and what others brought of the same build and still stands."""
        others = {number: file for number, file in self.recorded().items() if self.stands(file, _name(file))}
        self._put_by(self._folder.read_json(MANIFEST))
        self._folder.write_json(MANIFEST, self.content({**others, **mine}))
        self._folder.remove(self._journal)

    def stands(self, file: Mapping[str, Any], name: str) -> bool:
        """Whether a file stands in the folder, under this name and with the size that was written down."""
        size = file.get("size")
        known = isinstance(size, int) and file.get("path") == self._folder.shown(name)
        return known and size == self._folder.size(name)

    def content(self, files: Entries) -> dict[str, Any]:
        """Return a manifest of these files."""
        return {
            "build_id": self._build.id,
            "project_id": self._build.project_id,
            "status": str(self._build.status),
            "files": [files[number] for number in sorted(files)],
        }

    def _put_by(self, manifest: Any) -> None:
        """Keep the manifest of another build as its journal, unless nothing that it lists will stand."""
        other = _build_id(manifest)
        if other is None or other == self._build.id:
            return
        journal = journal_of(other)
        files = {**_entries(manifest, other), **_entries(self._folder.read_json(journal), other)}
        standing = [
            file for file in files.values() if _name(file) not in self._names and self.stands(file, _name(file))
        ]
        if standing:
            self._folder.write_json(journal, {**manifest, "files": standing})


def _name(file: Mapping[str, Any]) -> str:
    return str(file.get("path")).rpartition("/")[2]


def _build_id(manifest: Any) -> int | None:
    number = manifest.get("build_id") if isinstance(manifest, dict) else None
    return number if isinstance(number, int) else None


def _entries(manifest: Any, build_id: int | None) -> Entries:
    """Return the entries of a build's manifest by id; what is none, or another build's, has none."""
    files = manifest.get("files") if isinstance(manifest, dict) and _build_id(manifest) == build_id else None
    entries = [file for file in files if isinstance(file, dict)] if isinstance(files, list) else []
    return {file["download_id"]: file for file in entries if isinstance(file.get("download_id"), int)}
