"""Checksums: of a file's bytes, and of what it contains, to tell whether anything changed since another build.

A ZIP contains names and bytes; timestamps, order and compression do not count. Any other file contains its bytes.
"""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from mkw_airflow_provider.client.request import PIECE
from mkw_airflow_provider.client.storage.folder import pieces
from mkw_airflow_provider.client.transports.stopping import StoppedError
from mkw_airflow_provider.exceptions import IntegrityError

#: A small ZIP can unpack to any number of bytes. Beyond this one, it is neither checked nor looked into.
MAX_UNPACKED = 1024 * 1024 * 1024
#: What Python unpacks in small pieces. With bzip2 and LZMA, some hundred bytes become hundreds of MiB in one piece.
_BOUNDED_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


@dataclass(frozen=True)
class ContentRules:
    """What does not count for a content digest.

    :param ignore_lines: lines, without their end, in which one of these is found.
    :param ignore_members: members of a ZIP in whose name one of these is found.
    """

    ignore_lines: tuple[re.Pattern[str], ...] = ()
    ignore_members: tuple[re.Pattern[str], ...] = ()


EVERYTHING_COUNTS = ContentRules()


@dataclass(frozen=True)
class Checksums:
    """Size in bytes, SHA-256 of the bytes, and content digest of a file."""

    size: int
    sha256: str
    content: str


def size_and_sha256(file: BinaryIO, check: Callable[[], None]) -> tuple[int, str]:
    """Return size and SHA-256 of a file."""
    digest, size = hashlib.sha256(), 0
    for piece in pieces(file, check):
        digest.update(piece)
        size += len(piece)
    return size, digest.hexdigest()


def content_digest(file: BinaryIO, shown: str, sha256: str, rules: ContentRules, check: Callable[[], None]) -> str:
    """Check a ZIP, and return the digest over what a file contains.

    :param file: on the local disk.
    :param shown: the file's path or URL; a ``.zip`` is looked into.
    :param sha256: of its bytes. It is also the digest of a ZIP that is not looked into: one that is encrypted,
        too large, or compressed in another way than by deflate.
    :param check: called for each piece; raises to stop.
    :raises IntegrityError: if a ``.zip`` is damaged or not a ZIP.
    """
    file.seek(0)
    if shown.lower().endswith(".zip"):
        return _zip_digest(file, shown, rules, check) or sha256
    if not rules.ignore_lines:
        return sha256
    return _digest(pieces(file, check), rules.ignore_lines)


def combined_digest(contents: Iterable[tuple[str | None, str]]) -> str:
    """Return one digest over several files.

    :param contents: pattern and content digest of each; names differ from build to build.
    """
    ordered = sorted((pattern or "", content) for pattern, content in contents)
    return hashlib.sha256(json.dumps(ordered).encode()).hexdigest()


def _zip_digest(file: BinaryIO, shown: str, rules: ContentRules, check: Callable[[], None]) -> str | None:
    members = []
    unpacked = 0

    def count(piece: bytes) -> bytes:
        nonlocal unpacked
        unpacked += len(piece)
        if unpacked > MAX_UNPACKED:
            raise _TooLargeError
        return piece

    try:
        with zipfile.ZipFile(file) as archive:
            for info in archive.infolist():
                check()
                if info.compress_type not in _BOUNDED_METHODS:
                    return None
                with archive.open(info) as member:
                    # Read in any case: zipfile compares the member's checksum at its end.
                    digest = _digest(map(count, pieces(member, check)), rules.ignore_lines)
                if not _is_found(rules.ignore_members, info.filename):
                    members.append((info.filename, digest))
    except StoppedError:
        raise
    except (_TooLargeError, RuntimeError):
        return None
    except Exception as error:  # each way of packing raises errors of its own
        raise IntegrityError(f"{shown} is not a complete ZIP file: {error}") from error
    return hashlib.sha256(json.dumps(sorted(members)).encode()).hexdigest()


class _TooLargeError(Exception):
    pass


def _digest(data: Iterable[bytes], ignore_lines: tuple[re.Pattern[str], ...]) -> str:
    digest = hashlib.sha256()
    for part in _lines(data, ignore_lines) if ignore_lines else data:
        digest.update(part)
    return digest.hexdigest()


def _lines(data: Iterable[bytes], ignore_lines: tuple[re.Pattern[str], ...]) -> Iterator[bytes]:
    """Yield the lines that count."""
    rest = b""
    for piece in data:
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            if not _is_found(ignore_lines, line.rstrip(b"\r").decode("utf-8", "replace")):
                yield line + b"\n"
        if len(rest) > PIECE:
            # No text has such a line; it must not be held in memory.
            yield rest
            rest = b""
    if rest and not _is_found(ignore_lines, rest.decode("utf-8", "replace")):
        yield rest


def _is_found(patterns: tuple[re.Pattern[str], ...], text: str) -> bool:
    return any(pattern.search(text) for pattern in patterns)
