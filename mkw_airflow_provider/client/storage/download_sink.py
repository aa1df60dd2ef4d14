"""Files that arrive: counted, hashed and checked on the way, under names that cannot leave their folder."""

from __future__ import annotations

import hashlib
import os
import re
import zipfile
from collections.abc import Collection
from contextlib import AbstractContextManager, suppress
from typing import Any

from mkw_airflow_provider.client.request import Response, TransportError
from mkw_airflow_provider.client.storage.folder import AtomicFile, Folder, naming
from mkw_airflow_provider.exceptions import DownloadError, IntegrityError

#: Longest file name, in bytes: what common file systems take, less the room for a number.
LONGEST_NAME = 200
#: What follows the last dot of a name is kept as it is when a name is cut, if it is no longer than this, in bytes.
LONGEST_SUFFIX = 20
#: Not allowed in names on some file system, or with a meaning of their own to fsspec.
RESERVED = frozenset('<>:"|?*[]')


class DownloadSink:
    """A file that arrives in pieces: counted and hashed on the way. The sink of a download's call.

    :param folder: where it will stand.
    :param name: its final name.
    """

    def __init__(self, folder: Folder, name: str) -> None:
        self._folder = folder
        self._name = name
        self._draft = AtomicFile(folder, name)
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

    def begin(self, response: Response) -> None:
        """Take the head of an answer: the rest of the file, or all of it from the start.

        :raises TransportError: if a part came that was not asked for; the next try asks for the whole file.
        """
        if response.status == 206:
            begin, total = _content_range(response)
            if self._file is None or begin != self.received or _validator(response) != self._validator:
                self.start_over()
                raise TransportError("the server sent another part of the file than was asked for", sent=True)
            self._expected = total
            return
        self.start_over()
        with self._named():
            self._file = self._draft.open()
        length = re.fullmatch("[0-9]{1,18}", response.headers.get("content-length", ""))
        # A coded body has another length than the file that it decodes to.
        self._expected = int(length[0]) if length and "content-encoding" not in response.headers else None
        self._validator = _validator(response)

    def write(self, piece: bytes) -> None:
        """Take the next piece.

        :raises DownloadError: if it cannot be stored.
        """
        with self._named():
            self._file.write(piece)
        self._digest.update(piece)
        self.received += len(piece)

    def start_over(self) -> None:
        """Forget what came, so that the next request asks for the whole file.

        :raises DownloadError: if what came cannot be stored.
        """
        self._close()
        self._digest = hashlib.sha256()
        self._validator, self._expected, self.received = None, None, 0

    def finish(self) -> tuple[int, str]:
        """Check the file and give it its final name. Returns size and SHA-256.

        :raises IntegrityError: if its size is not the one that the server gave, or it ends in .zip and is no ZIP.
        :raises DownloadError: if it cannot be stored.
        """
        self._close()
        if self._expected is not None and self.received != self._expected:
            shown = self._folder.shown(self._name)
            raise IntegrityError(f"{shown}: {self.received} bytes came, the server announced {self._expected}")
        if self._name.lower().endswith(".zip"):
            self._check_zip()
        self._draft.keep()
        return self.received, self._digest.hexdigest()

    def _check_zip(self) -> None:
        shown = self._folder.shown(self._name)
        with self._named():
            file = self._folder.open(self._draft.name, "rb")
        try:
            with file, zipfile.ZipFile(file) as archive:
                broken = archive.testzip()
        except RuntimeError:
            # Encrypted, or packed by a method that Python does not know: there is no more to check.
            return
        except Exception as error:  # each way of packing raises errors of its own
            raise IntegrityError(f"{shown} is named as a ZIP, but is none that is whole: {error}") from error
        if broken is not None:
            raise IntegrityError(f"{shown} is a ZIP whose member {broken!r} is damaged")

    def discard(self) -> None:
        """Remove what there is under the temporary name. Whoever calls this has an error to tell already."""
        with suppress(DownloadError):
            self._close()
        self._draft.discard()

    def _close(self) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            with self._named():
                file.close()

    def _named(self) -> AbstractContextManager[None]:
        return naming(f"{self._folder.shown(self._name)} cannot be stored")


def _content_range(response: Response) -> tuple[int | None, int | None]:
    match = re.fullmatch(
        r"bytes ([0-9]{1,18})-[0-9]+/([0-9]{1,18}|\*)", response.headers.get("content-range", "").strip()
    )
    if match is None:
        return None, None
    return int(match[1]), None if match[2] == "*" else int(match[2])


def _validator(response: Response) -> str | None:
    """Return what names a version of the file for certain: a strong entity tag, else the time of the last change."""
    tag = response.headers.get("etag", "")
    return tag if tag.startswith('"') else response.headers.get("last-modified")


def safe_name(name: str | None, download_id: int, taken: Collection[str] = ()) -> str:
    """Return a file name that cannot leave its folder, made of the one that the API gives.

    :param name: as the API gives it; None or what leaves nothing behind becomes ``download-<id>``.
    :param taken: names in lower case that other files of the folder have; then the id is put before the suffix.
    """
    last = re.split(r"[/\\]", name or "")[-1]
    clean = "".join("_" if character in RESERVED else character for character in last if character.isprintable())
    # A hidden file is easily overlooked, and temporary files are hidden.
    clean = clean.strip(" .") or f"download-{download_id}"
    stem, suffix = os.path.splitext(clean)
    if len(suffix.encode()) > LONGEST_SUFFIX:
        stem, suffix = clean, ""
    stem = stem.encode()[: LONGEST_NAME - len(suffix.encode())].decode(errors="ignore").rstrip(" .")
    while f"{stem}{suffix}".lower() in taken:
        stem = f"{stem}-{download_id}"
    return stem + suffix
