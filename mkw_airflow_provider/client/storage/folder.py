"""A folder on any file system: what stands in it under its final name is whole."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from mkw_airflow_provider.client.request import PIECE
from mkw_airflow_provider.exceptions import DownloadError

#: What lies beside a file while it is written.
LOCK = re.compile(r"\..+\.[0-9a-f]{12}\.lock")


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
        with naming(f"the destination {self._shown} cannot be made"):
            self._filesystem.makedirs(self._root, exist_ok=True)

    def open(self, name: str, mode: str) -> Any:
        """Open a file for binary reading or writing."""
        return self._filesystem.open(self.path(name), mode)

    def rename(self, name: str, final: str) -> None:
        """Give a file its final name, over one that has it.

        :raises DownloadError: if that is not possible.
        """
        with naming(f"{self.shown(final)} cannot be stored"):
            self._filesystem.mv(self.path(name), self.path(final))

    def remove(self, name: str) -> None:
        """Remove a file, if it is there.

        :raises DownloadError: if that is not possible.
        """
        with naming(f"{self.shown(name)} cannot be removed"), suppress(FileNotFoundError):
            self._filesystem.rm_file(self.path(name))

    def digest(self, name: str) -> tuple[int, str] | None:
        """Return size and SHA-256 of a file; None if there is none.

        :raises DownloadError: if it cannot be read.
        """
        digest, size = hashlib.sha256(), 0
        with naming(f"{self.shown(name)} cannot be read"):
            if not self._filesystem.exists(self.path(name)):
                return None
            with self.open(name, "rb") as file:
                while piece := file.read(PIECE):
                    digest.update(piece)
                    size += len(piece)
        return size, digest.hexdigest()

    def size(self, name: str) -> int | None:
        """Return the size of a file; None if there is none.

        :raises DownloadError: if that cannot be found out.
        """
        with naming(f"{self.shown(name)} cannot be read"), suppress(FileNotFoundError):
            return int(self._filesystem.size(self.path(name)))
        return None

    def read_json(self, name: str) -> Any:
        """Return the content of a JSON file; None if there is none, or it is not JSON.

        :raises DownloadError: if it cannot be read.
        """
        no_json = suppress(FileNotFoundError, ValueError, RecursionError)
        with naming(f"{self.shown(name)} cannot be read"), no_json, self.open(name, "rb") as file:
            return json.loads(file.read())
        return None

    def write_json(self, name: str, value: Any) -> None:
        """Write a JSON file, whole or not at all.

        :raises DownloadError: if that is not possible.
        """
        draft = AtomicFile(self, name)
        try:
            with naming(f"{self.shown(name)} cannot be stored"), draft.open() as file:
                file.write(json.dumps(value, indent=2).encode() + b"\n")
            draft.keep()
        except BaseException:
            draft.discard()
            raise

    def remove_leftovers(self) -> None:
        """Remove what processes that died left half written; what one still writes stays.

        Only on a local file system. An object store shows nothing before a file is whole, and elsewhere nothing tells.
        """
        if not self.is_local:
            return
        with suppress(OSError), os.scandir(self._root) as entries:
            for path in [entry.path for entry in entries if LOCK.fullmatch(entry.name)]:
                _remove_unless_held(path)

    @property
    def is_local(self) -> bool:
        """Whether the folder is on a file system of this machine, be it mounted from another one."""
        return bool(getattr(self._filesystem, "local_file", False))


@contextmanager
def naming(trouble: str) -> Iterator[None]:
    """Put words before what a file system raises: each raises errors of its own."""
    try:
        yield
    except Exception as error:
        raise DownloadError(f"{trouble}: {error}") from error


class AtomicFile:
    """A file under a hidden name of its own, until it is whole.

    On a local file system its writer holds a lock on another hidden file beside it. The system takes that from a
    process that dies, however it does, so what stands beside a lock that nobody holds was left behind.

    :param folder: where it will stand.
    :param final: its final name.
    """

    def __init__(self, folder: Folder, final: str) -> None:
        self._folder = folder
        self._final = final
        unique = f".{final}.{uuid.uuid4().hex[:12]}"
        self.name = f"{unique}.part"
        self._lock_name = f"{unique}.lock"
        self._lock: int | None = None

    def open(self) -> Any:
        """Open it for writing, from the beginning."""
        if self._lock is None and self._folder.is_local:
            self._lock = _hold(self._folder.path(self._lock_name))
        return self._folder.open(self.name, "wb")

    def keep(self) -> None:
        """Give it its final name.

        :raises DownloadError: if that is not possible.
        """
        self._folder.rename(self.name, self._final)
        self._let_go()

    def discard(self) -> None:
        """Remove it, if it is there. Whoever calls this has an error to tell already."""
        with suppress(DownloadError):
            self._folder.remove(self.name)
        self._let_go()

    def _let_go(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
            with suppress(OSError):
                os.unlink(self._folder.path(self._lock_name))


def _hold(path: str) -> int:
    """Make a file and hold a lock on it until it is closed.

    Not the file that is written: on some file systems, such as SMB, a lock keeps out its holder's other handles, too.
    """
    file = os.open(path, os.O_CREAT | os.O_RDWR, 0o666)
    # Without locks nobody can tell, and so nobody removes anything.
    with suppress(OSError):
        fcntl.flock(file, fcntl.LOCK_EX)
    return file


def _remove_unless_held(path: str) -> None:
    # It may go in the meantime, or belong to another user.
    with suppress(OSError):
        file = os.open(path, os.O_RDWR)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with suppress(FileNotFoundError):
                os.unlink(path.removesuffix(".lock") + ".part")
        finally:
            os.close(file)
        os.unlink(path)
