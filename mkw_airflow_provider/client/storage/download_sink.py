"""A file that arrives in pieces: counted and hashed on the way, checked at the end."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from contextlib import AbstractContextManager

from mkw_airflow_provider.client.request import Response, TransportError
from mkw_airflow_provider.client.storage.content_digest import (
    EVERYTHING_COUNTS,
    Checksums,
    ContentRules,
    content_digest,
)
from mkw_airflow_provider.client.storage.folder import AtomicFile, Folder, explain
from mkw_airflow_provider.exceptions import IntegrityError


class DownloadSink:
    """Takes the body of a download: the sink of its request.

    :param folder: where the file will be.
    :param name: its final name.
    :param download_id: of the download.
    :param rules: what does not count for the content digest.
    :param check: called for each piece; raises to stop.
    """

    def __init__(
        self,
        folder: Folder,
        name: str,
        download_id: int,
        rules: ContentRules = EVERYTHING_COUNTS,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self._folder = folder
        self._name = name
        self._rules = rules
        self._check = check
        self._target = AtomicFile(folder, name, str(download_id))
        self._digest = hashlib.sha256()
        self._validator: str | None = None
        self._expected: int | None = None
        self.received = 0

    def headers(self) -> dict[str, str]:
        """Return headers that ask for the rest only, if the server named a version to compare it with."""
        if not self.received or self._validator is None:
            return {}
        return {"Range": f"bytes={self.received}-", "If-Range": self._validator}

    def begin(self, response: Response) -> None:
        """Take status and headers: the rest of the file follows, or all of it.

        :raises TransportError: for a part that was not asked for; the next request asks for the whole file.
        """
        if response.status == 206:
            start, total = _content_range(response)
            if not self.headers() or start != self.received or _validator(response) != self._validator:
                self.start_over()
                raise TransportError("the server sent another part of the file than was requested", sent=True)
            self._expected = total
            return
        self.start_over()
        length = re.fullmatch("[0-9]{1,18}", response.headers.get("content-length", ""))
        # An encoded body has another length than the file that it decodes to.
        self._expected = int(length[0]) if length and "content-encoding" not in response.headers else None
        self._validator = _validator(response)

    def write(self, piece: bytes) -> None:
        """Take the next piece.

        :raises DownloadError: if it cannot be stored.
        """
        self._check()
        with self._explain():
            self._target.file.write(piece)
        self._digest.update(piece)
        self.received += len(piece)

    def start_over(self) -> None:
        """Forget what was received, so that the next request asks for the whole file.

        :raises DownloadError: if the file cannot be emptied.
        """
        with self._explain():
            self._target.file.seek(0)
            self._target.file.truncate()
        self._digest = hashlib.sha256()
        self._validator, self._expected, self.received = None, None, 0

    def finish(self) -> Checksums:
        """Check the file and give it its final name.

        :raises IntegrityError: if its size is not the announced one, or a ``.zip`` is damaged.
        :raises DownloadError: if it cannot be stored.
        """
        shown = self._folder.shown(self._name)
        if self._expected is not None and self.received != self._expected:
            raise IntegrityError(
                f"{shown}: received {self.received} bytes, the server announced {self._expected}; nothing was stored"
            )
        sha256 = self._digest.hexdigest()
        with self._explain():
            self._target.file.flush()
            content = content_digest(self._target.file, shown, sha256, self._rules, self._check)
        self._target.commit(self._check)
        return Checksums(self.received, sha256, content)

    def discard(self) -> None:
        """Remove what was received. Never raises, because the caller already has an error to report."""
        self._target.discard()

    def _explain(self) -> AbstractContextManager[None]:
        return explain(f"{self._folder.shown(self._name)} cannot be stored")


def _content_range(response: Response) -> tuple[int | None, int | None]:
    found = response.headers.get("content-range", "").strip()
    match = re.fullmatch(r"bytes ([0-9]{1,18})-[0-9]+/([0-9]{1,18}|\*)", found)
    if match is None:
        return None, None
    return int(match[1]), None if match[2] == "*" else int(match[2])


def _validator(response: Response) -> str | None:
    """Return what names a version of the file for certain: a strong entity tag, else the time of the last change."""
    tag = response.headers.get("etag", "")
    return tag if tag.startswith('"') else response.headers.get("last-modified")
