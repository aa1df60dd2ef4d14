"""A server of files, and folders to store them in."""

from __future__ import annotations

import hashlib
import io
import re
import uuid
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from mkw_airflow_provider.client.flows.download_build import download_into
from mkw_airflow_provider.client.request import Request
from mkw_airflow_provider.client.storage.content_digest import Checksums
from mkw_airflow_provider.client.storage.folder import Folder
from mkw_airflow_provider.client.transports.stopping import StopSignal
from tests.kit.simulation import Body, World, body, http_error, lost, ok


def in_memory(filesystem: type[MemoryFileSystem] = MemoryFileSystem) -> Folder:
    """Return a folder of its own on fsspec's file system in memory, which has no folders and moves by copying."""
    root = f"/{uuid.uuid4().hex}"
    return Folder(filesystem(), root, f"memory:/{root}")


def on_disk(path: Path) -> Folder:
    return Folder(LocalFileSystem(), str(path), str(path))


def names(folder: Folder) -> list[str]:
    """Return the names of all files in a folder, hidden ones included."""
    return sorted(folder.names())


def content(folder: Folder, name: str) -> bytes:
    with folder.open(name, "rb") as file:
        return bytes(file.read())


def put(folder: Folder, name: str, data: bytes) -> None:
    folder._filesystem.makedirs(folder.path(name).rpartition("/")[0], exist_ok=True)
    with folder.open(name, "wb") as file:
        file.write(data)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def zip_of(**members: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(zipfile.ZipInfo(name), text * 20)
    return packed.getvalue()


class Files:
    """Serves ``GET /downloads/:id`` as a correct server does: with length, entity tag and ranges.

    :param files: content by id.
    """

    def __init__(self, world: World, files: dict[int, bytes]) -> None:
        self.files = files
        self.tags = {number: f'"{number}-1"' for number in files}
        #: For each id: after how many bytes the next responses break off.
        self.breaks: dict[int, list[int]] = {}
        #: For each id: the response to send instead.
        self.instead: dict[int, Callable[[Request[Any]], Any]] = {}
        #: Path and Range of every request.
        self.requested: list[tuple[int, str | None]] = []
        self.others: dict[str, Any] = {}
        world.server = self

    def __call__(self, call: Request[Any]) -> Any:
        if call.path in self.others:
            return ok(self.others[call.path])
        number = int(re.fullmatch(r"/api/v1/downloads/(\d+)", call.path)[1])  # type: ignore[index]
        headers = call.request_headers("test")
        self.requested.append((number, headers.get("Range")))
        if number in self.instead:
            return self.instead[number](call)
        if number not in self.files:
            return http_error(404, f"No record found for id '{number}'")
        return self._part(number, headers)

    def _part(self, number: int, headers: dict[str, str]) -> Any:
        data, tag = self.files[number], self.tags[number]
        begin, described = 0, {"status": 200, "etag": tag, "content_length": str(len(data))}
        if "Range" in headers and headers.get("If-Range") == tag:
            begin = int(headers["Range"].removeprefix("bytes=").rstrip("-"))
            if begin >= len(data):
                return http_error(416, "Range Not Satisfiable")
            described |= {"status": 206, "content_range": f"bytes {begin}-{len(data) - 1}/{len(data)}"}
            described["content_length"] = str(len(data) - begin)
        breaks = self.breaks.get(number)
        end = begin + breaks.pop(0) if breaks else len(data)
        pieces = [data[at : min(at + 1_000, end)] for at in range(begin, min(end, len(data)), 1_000)]
        return _broken(body(*pieces, **described), breaks=end < len(data))  # type: ignore[arg-type]


def _broken(response: Body, *, breaks: bool) -> Body:
    response.breaks = lost("connection reset in the middle") if breaks else None
    return response


def fetch(world: World, folder: Folder, name: str = "result.sql", stop: StopSignal | None = None) -> Checksums:
    """Download the file with id 1."""
    return download_into(world, world.session, 1, folder, name, stop=stop)
