"""The bytes of a download: a generated ZIP, or filler of any size that is generated while it is sent."""

from __future__ import annotations

import random
import struct
import zipfile
import zlib
from collections.abc import Iterator
from functools import lru_cache

from mkw_airflow_provider.emulator.state.generate import Part, make_archive
from mkw_airflow_provider.emulator.state.state import State
from mkw_airflow_provider.emulator.state.store import Row

CHUNK = 1024 * 1024

# Without the ZIP64 extension an archive ends here.
LARGEST_ZIP = 0xFFFFFFFF - CHUNK

ENTRY = b"filler.bin"

# 1 January 2026 as a ZIP writes dates.
DOS_DATE = (2026 - 1980) << 9 | 1 << 5 | 1


class Content:
    """Bytes that can be read from any offset: a head, filler, and a tail.

    :param head: the first bytes.
    :param filler: how many bytes of filler follow.
    :param tail: the last bytes.
    """

    def __init__(self, head: bytes, filler: int = 0, tail: bytes = b"") -> None:
        self._head = head
        self._filler = filler
        self._tail = tail
        self.size = len(head) + filler + len(tail)

    def read(self, start: int, end: int) -> Iterator[bytes]:
        """Yield the bytes from ``start`` to before ``end``, in chunks of at most 1 MiB."""
        while start < end:
            chunk = self._chunk(start, min(end - start, CHUNK))
            yield chunk
            start += len(chunk)

    def _chunk(self, start: int, most: int) -> bytes:
        if start < len(self._head):
            return self._head[start : start + most]
        start -= len(self._head)
        if start < self._filler:
            offset = start % CHUNK
            return _block()[offset : offset + min(most, self._filler - start)]
        start -= self._filler
        return self._tail[start : start + most]


def open_content(state: State, download: Row) -> Content:
    """Return the content of a download.

    :param download: its row. With a ``size``, it is filler of this size: a valid ZIP where the name
        ends in .zip and the size allows for one (about 150 bytes to 4 GiB), else bytes without a format.
    """
    size = download["size"]
    if size is None:
        return Content(_archive(state, download))
    if download["name"].lower().endswith(".zip") and _overhead() <= size <= LARGEST_ZIP:
        head, tail = _zip_ends(size - _overhead())
        return Content(head, size - _overhead(), tail)
    return Content(b"", size)


def _archive(state: State, download: Row) -> bytes:
    build = state.store.get("builds", download["build_id"])
    pattern = state.store.get("patterns", download["pattern_id"])
    if build is None or pattern is None:
        return b""
    rows = state.store.all(
        "SELECT instances.name, instance_folders.path, build_instances.revision FROM build_instances "
        "JOIN instances ON instances.id = instance_id "
        "JOIN instance_folders ON instance_folders.id = instance_folder_id "
        "WHERE build_id = ? AND instances.pattern_id = ? ORDER BY instances.id",
        build["id"],
        pattern["id"],
    )
    parts = tuple(Part(row["name"], row["path"], row["revision"]) for row in rows)
    generated = f"build {build['id']}, version {build['version']}, {state.timestamp(build['starts'])}"
    return _cached(generated, pattern["name"], pattern["type"], parts)


_cached = lru_cache(maxsize=64)(make_archive)


@lru_cache(maxsize=1)
def _block() -> bytes:
    return random.Random(0).randbytes(CHUNK)  # noqa: S311


def _overhead() -> int:
    return 30 + len(ENTRY) + 46 + len(ENTRY) + 22


@lru_cache(maxsize=16)
def _zip_ends(size: int) -> tuple[bytes, bytes]:
    """Return the bytes before and after the stored entry of a ZIP. Reads the filler once, for its CRC."""
    crc, left = 0, size
    while left > 0:
        crc = zlib.crc32(_block()[: min(left, CHUNK)], crc)
        left -= CHUNK
    common = struct.pack("<HHHHHLLLHH", 20, 0, zipfile.ZIP_STORED, 0, DOS_DATE, crc, size, size, len(ENTRY), 0)
    head = b"PK\x03\x04" + common + ENTRY
    central = b"PK\x01\x02" + struct.pack("<H", 20) + common + struct.pack("<HHHLL", 0, 0, 0, 0, 0) + ENTRY
    end = b"PK\x05\x06" + struct.pack("<HHHHLLH", 0, 0, 1, 1, len(central), len(head) + size, 0)
    return head, central + end
