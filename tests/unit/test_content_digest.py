"""Digests over what a file contains: timestamps, order and compression of a ZIP do not count."""

from __future__ import annotations

import io
import re
import tracemalloc
import zipfile
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mkw_airflow_provider.client.storage import content_digest as module
from mkw_airflow_provider.client.storage.content_digest import (
    EVERYTHING_COUNTS,
    ContentRules,
    combined_digest,
    content_digest,
)
from mkw_airflow_provider.client.transports.stopping import StoppedError
from mkw_airflow_provider.exceptions import IntegrityError
from tests.kit.files import sha256
from tests.kit.simulation import PROPERTY

WHOLE = [("a.sql", b"select 1;\n" * 50), ("b/c.sql", b"select 2;\n-- built 2026-04-02\n")]


def rules(lines=(), members=()) -> ContentRules:
    return ContentRules(tuple(map(re.compile, lines)), tuple(map(re.compile, members)))


def pack(members, method=zipfile.ZIP_DEFLATED, date=(2026, 4, 2, 0, 0, 0)) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name, date), data, method)
    return packed.getvalue()


def digest(data: bytes, name: str = "/x/a.zip", rules: ContentRules = EVERYTHING_COUNTS, check=lambda: None) -> str:
    return content_digest(io.BytesIO(data), name, sha256(data), rules, check)


def test_packing_does_not_count():
    other = pack(WHOLE[::-1], zipfile.ZIP_STORED, (1999, 1, 1, 0, 0, 0))
    assert digest(other) == digest(pack(WHOLE))


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_unbounded_compression_is_not_unpacked(method):
    """A few hundred bytes of these unpack to hundreds of MiB in one call."""
    data = pack([("zeros", bytes(30_000_000))], method)
    tracemalloc.start()
    assert digest(data) == sha256(data)
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()


@pytest.mark.parametrize(
    "members",
    [
        WHOLE[:1],
        [*WHOLE, ("d", b"")],
        [(WHOLE[0][0], b"select 3;"), WHOLE[1]],
        [("A.sql", WHOLE[0][1]), WHOLE[1]],
        [(WHOLE[0][0], WHOLE[1][1]), (WHOLE[1][0], WHOLE[0][1])],
    ],
)
def test_names_and_bytes_count(members):
    assert digest(pack(members)) != digest(pack(WHOLE))


def test_other_file_counts_by_its_bytes():
    assert digest(b"select 1;", "/x/a.sql") == sha256(b"select 1;")
    assert digest(pack(WHOLE), "/x/a.jar") == sha256(pack(WHOLE))


@pytest.mark.parametrize("name", ["/x/a.sql", "/x/a.zip"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b""])
def test_ignored_lines_do_not_count(name, end):
    def made(date: str) -> bytes:
        text = b"select 1;\n-- built " + date.encode() + end
        return text if name.endswith("sql") else pack([("a", text), ("b", text)])

    ignoring = rules([r"^-- built \d{4}-\d\d-\d\d$"])
    assert digest(made("2026-04-02"), name, ignoring) == digest(made("2026-04-03"), name, ignoring)
    assert digest(made("2026-04-02"), name, ignoring) != digest(made("yesterday"), name, ignoring)
    assert digest(made("2026-04-02"), name) != digest(made("2026-04-03"), name)


def test_ignored_members_do_not_count():
    one, other = ([*WHOLE, ("meta/build.txt", text)] for text in (b"5139", b"5140"))
    assert digest(pack(one), rules=rules(members=["^meta/"])) == digest(pack(other), rules=rules(members=["^meta/"]))
    assert digest(pack(one)) != digest(pack(other))


def test_lines_across_pieces_are_matched(monkeypatch):
    monkeypatch.setattr("mkw_airflow_provider.client.storage.folder.PIECE", 5)
    one, other = (b"select 1;\n-- built " + day + b"\nselect 2;" for day in (b"monday", b"tuesday"))
    assert digest(one, "a.sql", rules(["^-- built"])) == digest(other, "a.sql", rules(["^-- built"]))


def test_file_without_line_ends_is_digested(monkeypatch):
    """It is read in pieces, because it may be larger than the memory."""
    monkeypatch.setattr(module, "PIECE", 10)
    data = b"x" * 1_000
    assert digest(data, "a.bin", rules(["y"])) == sha256(data)


@pytest.mark.parametrize("end", range(0, len(pack(WHOLE)), 7))
def test_cut_zip_is_refused(end):
    with pytest.raises(IntegrityError, match=r"/x/a\.zip is not a complete ZIP file"):
        digest(pack(WHOLE)[:end])


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_damaged_member_is_refused_though_ignored(method):
    data = bytearray(pack(WHOLE, method))
    data[40:50] = bytes(byte ^ 0x55 for byte in data[40:50])
    with pytest.raises(IntegrityError):
        digest(bytes(data), rules=rules(members=["."]))


@PROPERTY
@given(st.lists(st.tuples(st.integers(0, len(pack(WHOLE)) - 1), st.integers(1, 255)), max_size=8))
def test_any_damage_is_refused_or_harmless(damage):
    data = bytearray(pack(WHOLE))
    for at, bits in damage:
        data[at] ^= bits
    with suppress(IntegrityError):
        assert len(digest(bytes(data))) == 64


def test_encrypted_zip_counts_by_its_bytes():
    data = bytearray(pack(WHOLE))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1
    assert digest(bytes(data)) == sha256(bytes(data))


def test_unpacked_bytes_are_bounded(monkeypatch):
    monkeypatch.setattr(module, "MAX_UNPACKED", 5_000_000)
    data = pack([("zeros", bytes(50_000_000))])
    checks = []
    assert digest(data, check=lambda: checks.append(1)) == sha256(data)
    assert len(checks) < 10


def test_zip_check_can_be_stopped():
    def stop():
        raise StoppedError

    with pytest.raises(StoppedError):
        digest(pack(WHOLE), check=stop)


def test_combined_digest_knows_patterns_not_names():
    one = combined_digest([("CORE", "1"), ("STAGE", "2")])
    assert one == combined_digest([("STAGE", "2"), ("CORE", "1")])
    assert one != combined_digest([("CORE", "2"), ("STAGE", "1")])
    assert one != combined_digest([("CORE", "1")])
