"""A folder on any file system. A file gets its final name only when it is complete."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import Any, BinaryIO

from fsspec.spec import AbstractFileSystem

from mkw_airflow_provider.client.request import PIECE
from mkw_airflow_provider.client.transports.stopping import StoppedError
from mkw_airflow_provider.exceptions import DownloadError, MetaKraftwerkError

#: A JSON file of this package is far smaller; a larger one was made by somebody else.
MAX_JSON_FILE = 64 * 1024 * 1024
#: Bytes that common file systems take for a name.
MAX_FILE_NAME = 255


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

    def __str__(self) -> str:
        return self._shown or "/"

    def shown(self, name: str) -> str:
        """Return a file's path or URL for people and for the manifest."""
        return f"{self._shown}/{name}"

    def path(self, name: str) -> str:
        """Return a file's path in the file system."""
        return f"{self._root}/{name}"

    @property
    def is_local(self) -> bool:
        """Whether the folder is on a file system of this machine, which may be mounted from another one."""
        return bool(getattr(self._filesystem, "local_file", False))

    def create(self) -> None:
        """Create the folder, where the file system has folders.

        :raises DownloadError: if that is not possible.
        """
        with explain(f"the destination {self} cannot be created"):
            self._filesystem.makedirs(self._root or "/", exist_ok=True)

    def names(self) -> list[str]:
        """Return the names of everything in the folder, hidden files included.

        :raises DownloadError: if it cannot be listed.
        """
        with explain(f"the destination {self} cannot be listed"), suppress(FileNotFoundError):
            # Object stores cache listings, and other tasks write into the same folder.
            self._filesystem.invalidate_cache(self._root)
            return [path.rstrip("/").rpartition("/")[2] for path in self._filesystem.ls(self._root, detail=False)]
        return []

    def size(self, name: str) -> int | None:
        """Return the size of a file; None if it does not exist or is not a file.

        :raises DownloadError: if that cannot be found out.
        """
        with explain(f"{self.shown(name)} cannot be read"), suppress(FileNotFoundError):
            if self._filesystem.isfile(self.path(name)):
                return int(self._filesystem.size(self.path(name)))
        return None

    def open(self, name: str, mode: str = "rb") -> Any:
        """Open a file for binary reading or writing."""
        return self._filesystem.open(self.path(name), mode)

    @contextmanager
    def local_copy(self, name: str, check: Callable[[], None]) -> Iterator[BinaryIO]:
        """Open a file for reading at any position: itself if it is local, else a temporary copy.

        :param check: called after each piece; raises to stop.
        """
        with self.open(name) as file:
            if self.is_local:
                yield file
                return
            with tempfile.TemporaryFile() as copy:
                copy.writelines(pieces(file, check))
                copy.seek(0)
                yield copy

    def move(self, name: str, final: str) -> None:
        """Rename a file, replacing another one, but never a directory or a link to one.

        :raises DownloadError: if that is not possible.
        """
        source, target = self.path(name), self.path(final)
        with explain(f"{self.shown(final)} cannot be stored"):
            if self.is_local:
                if os.path.exists(target) and not os.path.isfile(target):
                    raise IsADirectoryError("its name is taken by a directory, or by something else that is not a file")
                os.replace(source, target)
                return
            if self._filesystem.isdir(target):
                raise IsADirectoryError("its name is taken by a directory")
            if type(self._filesystem).mv is not AbstractFileSystem.mv:
                self._filesystem.mv(source, target)
            else:
                # The `mv` that all file systems inherit takes `*` and `[` in the folder's name for a pattern.
                self._filesystem.cp_file(source, target)
                self._filesystem.rm_file(source)

    def remove(self, name: str) -> None:
        """Remove a file, if it exists.

        :raises DownloadError: if that is not possible.
        """
        with explain(f"{self.shown(name)} cannot be removed"), suppress(FileNotFoundError):
            self._filesystem.rm_file(self.path(name))

    def read_json(self, name: str) -> Any:
        """Return the content of a JSON file; None if it does not exist or is not JSON.

        :raises DownloadError: if it cannot be read.
        """
        unreadable = suppress(FileNotFoundError, ValueError, RecursionError)
        with explain(f"{self.shown(name)} cannot be read"), unreadable, self.open(name) as file:
            data = file.read(MAX_JSON_FILE + 1)
            return json.loads(data) if len(data) <= MAX_JSON_FILE else None
        return None

    def write_json(self, name: str, value: Any, writer: str) -> None:
        """Write a JSON file atomically.

        :param writer: tells this writer from others of the same file.
        :raises DownloadError: if that is not possible.
        """
        file = AtomicFile(self, name, writer)
        try:
            with explain(f"{self.shown(name)} cannot be stored"):
                file.file.write(json.dumps(value, indent=2).encode() + b"\n")
            file.commit()
        except BaseException:
            file.discard()
            raise


class AtomicFile:
    """A file that is written under a temporary name and renamed when it is complete.

    Its bytes are on the local disk until then: in the folder itself if that is local, else in an unnamed temporary
    file. The temporary name is always the same for one writer, so a new attempt replaces what a killed one left.

    :param folder: where the file will be.
    :param final: its final name.
    :param writer: tells this writer from others of the same file.
    """

    def __init__(self, folder: Folder, final: str, writer: str) -> None:
        self._folder = folder
        self._final = final
        self._name = _temporary_name(final, writer)
        self._path = folder.path(self._name)
        self._identity: os.stat_result | None = None

    @cached_property
    def file(self) -> BinaryIO:
        """The file, open for writing and reading; created empty when it is first used."""
        if not self._folder.is_local:
            return tempfile.TemporaryFile()  # closed by commit and discard
        with suppress(FileNotFoundError):
            os.unlink(self._path)
        # A new file in any case: nobody else writes to it, and a link under this name is not followed.
        number = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o666)
        self._identity = os.fstat(number)
        return os.fdopen(number, "w+b")

    def commit(self, check: Callable[[], None] = lambda: None) -> None:
        """Give it its final name.

        :param check: called after each piece that is copied; raises to stop.
        :raises DownloadError: if that is not possible.
        """
        with explain(f"{self._folder.shown(self._final)} cannot be stored"):
            file = self.file
            size = file.seek(0, os.SEEK_END)
            if self._folder.is_local:
                file.close()
                # Another task that downloads the same file replaces the temporary file of this one.
                if os.lstat(self._path).st_size != size:
                    raise OSError("another task is writing the same file")
            else:
                file.seek(0)
                with self._folder.open(self._name, "wb") as stored:
                    for piece in pieces(file, check):
                        stored.write(piece)
                file.close()
        self._folder.move(self._name, self._final)

    def discard(self) -> None:
        """Remove it. Never raises, because the caller already has an error to report."""
        file = self.__dict__.pop("file", None)
        if file is None:
            return
        with suppress(Exception):
            if self._identity is None:
                self._folder.remove(self._name)
            elif os.path.samestat(self._identity, os.lstat(self._path)):
                os.unlink(self._path)
        with suppress(Exception):
            file.close()


def _temporary_name(final: str, writer: str) -> str:
    name = f".{final}.{writer}.part"
    if len(name.encode()) <= MAX_FILE_NAME:
        return name
    return f".{hashlib.sha256(name.encode()).hexdigest()}.part"


def pieces(file: Any, check: Callable[[], None]) -> Iterator[bytes]:
    """Yield what is left of a file.

    :param check: called for each piece; raises to stop.
    """
    while piece := file.read(PIECE):
        check()
        yield piece


@contextmanager
def explain(problem: str) -> Iterator[None]:
    """Raise what a file system raises, each errors of its own, as a DownloadError that says what failed.

    :raises DownloadError: for any other error than those of this package.
    """
    try:
        yield
    except (MetaKraftwerkError, StoppedError):
        raise
    except Exception as error:
        raise DownloadError(f"{problem}: {error}") from error
