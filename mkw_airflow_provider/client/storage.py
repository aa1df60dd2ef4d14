"""Files in a destination: written under a temporary name, then renamed, so that a final name means a whole file."""

from __future__ import annotations

import hashlib
import json
import re
import uuid
import zipfile
import zlib
from collections.abc import Collection
from typing import Any

from mkw_airflow_provider.client.wire import PIECE, Reply, TransportError
from mkw_airflow_provider.exceptions import DownloadError, IntegrityError

#: Longest file name, in bytes: what common file systems take, less the room for a number.
LONGEST_NAME = 200


class Folder:
    """A folder on any file system that fsspec knows.

    :param filesystem: an fsspec file system.
    :param root: the folder's path in it.
    :param shown: the folder as the user wrote it, for messages and the manifest.
    """

    def __init__(self, filesystem: Any, root: str, shown: str) -> None:
        self._filesystem = filesystem
        self._root = root.rstrip("/")
        self._shown = shown.rstrip("/")

    def shown(self, name: str) -> str:
        """Return a file's path or URL for people and for the manifest."""
        return f"{self._shown}/{name}"

    def path(self, name: str) -> str:
        """Return a file's path in the file system."""
        return f"{self._root}/{name}"

    def make(self) -> None:
        """Make the folder, where the file system has folders.

        :raises DownloadError: if that is not possible.
        """
        try:
            self._filesystem.makedirs(self._root, exist_ok=True)
        except OSError as error:
            raise DownloadError(f"the destination {self._shown} cannot be made: {error}") from error

    def open(self, name: str, mode: str) -> Any:
        """Open a file for binary reading or writing."""
        return self._filesystem.open(self.path(name), mode)

    def rename(self, name: str, final: str) -> None:
        """Give a file its final name, over one that has it."""
        self._filesystem.mv(self.path(name), self.path(final))

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        try:
            self._filesystem.rm_file(self.path(name))
        except FileNotFoundError:
            return

    def digest(self, name: str) -> tuple[int, str] | None:
        """Return size and SHA-256 of a file; None if there is none."""
        if not self._filesystem.exists(self.path(name)):
            return None
        digest, size = hashlib.sha256(), 0
        with self.open(name, "rb") as file:
            while piece := file.read(PIECE):
                digest.update(piece)
                size += len(piece)
        return size, digest.hexdigest()

    def size(self, name: str) -> int | None:
        """Return the size of a file; None if there is none."""
        try:
            return int(self._filesystem.size(self.path(name)))
        except FileNotFoundError:
            return None

    def read_json(self, name: str) -> Any:
        """Return the content of a JSON file; None if there is none, or it is not JSON."""
        try:
            with self.open(name, "rb") as file:
                return json.loads(file.read())
        except (FileNotFoundError, ValueError):
            return None

    def write_json(self, name: str, value: Any) -> None:
        """Write a JSON file, whole or not at all."""
        temporary = _temporary(name)
        with self.open(temporary, "wb") as file:
            file.write(json.dumps(value, indent=2).encode() + b"\n")
        self.rename(temporary, name)


def _temporary(name: str) -> str:
    return f".{name}.{uuid.uuid4().hex[:12]}.part"


class IncomingFile:
    """A file that arrives in pieces: counted and hashed on the way. The sink of a download's call.

    :param folder: where it will stand.
    :param name: its final name.
    """

    def __init__(self, folder: Folder, name: str) -> None:
        self._folder = folder
        self._name = name
        self._temporary = _temporary(name)
        self._file: Any = None
        self._digest = hashlib.sha256()
        self._validator: str | None = None
        self._expected: int | None = None
        self.received = 0

    def headers(self) -> dict[str, str]:
        """Ask for the rest only, where the server named a version by which it can tell that the rest still fits."""
        if not self.received or self._validator is None:
            return {}
        return {"Range": f"bytes={self.received}-", "If-Range": self._validator}

    def begin(self, reply: Reply) -> None:
        """Take the head of an answer: the rest of the file, or all of it from the start.

        :raises TransportError: if a part came that was not asked for; the next try asks for the whole file.
        """
        if reply.status == 206:
            begin, total = _content_range(reply)
            if begin != self.received or _validator(reply) != self._validator:
                self._restart()
                raise TransportError("the server sent another part of the file than was asked for", sent=True)
            self._expected = total
            return
        self._restart()
        length = reply.headers.get("content-length", "")
        # A coded body has another length than the file that it decodes to.
        self._expected = int(length) if length.isdecimal() and "content-encoding" not in reply.headers else None
        self._validator = _validator(reply)

    def write(self, piece: bytes) -> None:
        """Take the next piece.

        :raises DownloadError: if it cannot be stored.
        """
        try:
            self._file.write(piece)
        except OSError as error:
            raise DownloadError(f"{self._folder.shown(self._name)} cannot be written: {error}") from error
        self._digest.update(piece)
        self.received += len(piece)

    def _restart(self) -> None:
        self._close()
        try:
            self._file = self._folder.open(self._temporary, "wb")
        except OSError as error:
            raise DownloadError(f"{self._folder.shown(self._name)} cannot be written: {error}") from error
        self._digest = hashlib.sha256()
        self._validator, self._expected, self.received = None, None, 0

    def finish(self) -> tuple[int, str]:
        """Check the file and give it its final name. Returns size and SHA-256.

        :raises IntegrityError: if its size is not the one that the server gave, or it ends in .zip and is no ZIP.
        :raises DownloadError: if it cannot be stored.
        """
        shown = self._folder.shown(self._name)
        try:
            self._close()
            if self._expected is not None and self.received != self._expected:
                raise IntegrityError(f"{shown}: {self.received} bytes came, the server announced {self._expected}")
            if self._name.lower().endswith(".zip"):
                self._check_zip(shown)
            self._folder.rename(self._temporary, self._name)
        except OSError as error:
            raise DownloadError(f"{shown} cannot be stored: {error}") from error
        return self.received, self._digest.hexdigest()

    def _check_zip(self, shown: str) -> None:
        try:
            with self._folder.open(self._temporary, "rb") as file, zipfile.ZipFile(file) as archive:
                broken = archive.testzip()
        except RuntimeError:
            # Encrypted, or packed by a method that Python does not know: there is no more to check.
            return
        except (zipfile.BadZipFile, zlib.error, EOFError, ValueError) as error:
            raise IntegrityError(f"{shown} is named as a ZIP, but is none that is whole: {error}") from error
        if broken is not None:
            raise IntegrityError(f"{shown} is a ZIP whose member {broken!r} is damaged")

    def discard(self) -> None:
        """Remove what there is under the temporary name."""
        self._close()
        self._folder.remove(self._temporary)

    def _close(self) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            file.close()


def _content_range(reply: Reply) -> tuple[int | None, int | None]:
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", reply.headers.get("content-range", "").strip())
    if match is None:
        return None, None
    return int(match[1]), None if match[2] == "*" else int(match[2])


def _validator(reply: Reply) -> str | None:
    """Return what names a version of the file for certain: a strong entity tag, else the time of the last change."""
    tag = reply.headers.get("etag", "")
    return tag if tag.startswith('"') else reply.headers.get("last-modified")


def safe_name(name: str | None, download_id: int, taken: Collection[str] = ()) -> str:
    """Return a file name that cannot leave its folder, made of the one that the API gives.

    :param name: as the API gives it; None or what leaves nothing behind becomes ``download-<id>``.
    :param taken: names in lower case that other files of the folder have; then the id is put before the suffix.
    """
    last = re.split(r"[/\\]", name or "")[-1]
    clean = "".join("_" if character in '<>:"|?*' else character for character in last if character.isprintable())
    clean = clean.strip(" .") and clean.strip().rstrip(".")
    # A hidden file is easily overlooked, and temporary files are hidden.
    clean = clean.lstrip(".") or f"download-{download_id}"
    stem, dot, suffix = clean.rpartition(".")
    stem, suffix = (stem, dot + suffix) if stem else (clean, "")
    while len((stem + suffix).encode()) > LONGEST_NAME:
        stem, suffix = (stem[:-1], suffix) if stem else ("", suffix[:-1])
    if (stem + suffix).lower() in taken:
        stem = f"{stem}-{download_id}"
    return stem + suffix
