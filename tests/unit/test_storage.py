"""Files in a folder: whole or not at all, and errors that name them."""

from __future__ import annotations

import errno
import io
import zipfile
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import given
from hypothesis import strategies as st

from mkw_airflow_provider.client.flows.download_build import download_file
from mkw_airflow_provider.client.request import Response
from mkw_airflow_provider.client.storage.download_sink import DownloadSink
from mkw_airflow_provider.exceptions import DownloadError, IntegrityError
from tests.kit.files import Files, content, in_memory, names, on_disk, put, sha256, zip_of
from tests.kit.simulation import PROPERTY


def test_a_folder_is_made_with_its_parents_and_may_be_there(tmp_path):
    folder = on_disk(tmp_path / "a" / "b")
    folder.make()
    folder.make()
    assert (tmp_path / "a" / "b").is_dir()


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "a").write_text("a file")
    with pytest.raises(DownloadError, match=r"the destination .*/a/b cannot be made: "):
        on_disk(tmp_path / "a" / "b").make()


def test_json_is_written_and_read(folder):
    folder.write_json("manifest.json", {"build_id": 5139})
    assert folder.read_json("manifest.json") == {"build_id": 5139}
    assert names(folder) == ["manifest.json"]


@pytest.mark.parametrize(
    "data", [b"", b"{", b"\xff\xfe", b"[" * 100_000, None], ids=["empty", "cut", "binary", "deep", "none"]
)
def test_what_is_no_json_reads_as_none(folder, data):
    if data is not None:
        put(folder, "manifest.json", data)
    assert folder.read_json("manifest.json") is None


def test_size_and_digest_of_a_file(folder):
    put(folder, "a", b"data" * 1_000_000)
    assert folder.size("a") == 4_000_000
    assert folder.digest("a") == (4_000_000, sha256(b"data" * 1_000_000))


def test_of_no_file_there_is_no_size_and_no_digest(folder):
    assert (folder.size("a"), folder.digest("a")) == (None, None)


def test_what_is_not_there_is_removed_already(folder):
    put(folder, "a", b"")
    folder.remove("a")
    folder.remove("a")
    assert names(folder) == []


def test_a_slash_at_the_end_of_the_folder_makes_no_difference(tmp_path):
    folder = on_disk(tmp_path)
    assert folder.shown("a") == f"{tmp_path}/a"


class Full(MemoryFileSystem):
    """Takes no more than a few bytes, like a full disk."""

    cachable = False
    #: At what it fails: writing, closing, moving.
    fails_at = "write"

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        file = super()._open(path, mode, **options)
        if "w" in mode and self.fails_at in ("write", "close"):
            setattr(file, self.fails_at, self._refuse)
        return file

    def mv(self, *args: Any, **options: Any) -> None:
        if self.fails_at == "mv":
            self._refuse()
        super().mv(*args, **options)

    def _refuse(self, *_: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("fails_at", ["write", "close", "mv"])
def test_a_full_disk_is_an_error_that_names_the_file_and_leaves_nothing(world, fails_at):
    folder = in_memory(Full)
    folder._filesystem.fails_at = fails_at
    folder.make()
    Files(world, {1: b"data"})
    with pytest.raises(DownloadError, match=r"/a.sql cannot be stored: .*No space left on device"):
        download_file(world, world.session, 1, folder, "a.sql")
    assert names(folder) == []
    assert len(world.sent) == 1


@pytest.mark.parametrize("fails_at", ["write", "close", "mv"])
def test_a_manifest_that_cannot_be_written_is_an_error_that_names_it_and_leaves_nothing(fails_at):
    folder = in_memory(Full)
    folder._filesystem.fails_at = fails_at
    folder.make()
    with pytest.raises(DownloadError, match=r"/manifest.json cannot be stored: "):
        folder.write_json("manifest.json", {})
    assert names(folder) == []


def test_a_file_that_is_a_folder_is_an_error_that_names_it(tmp_path):
    folder = on_disk(tmp_path)
    (tmp_path / "a").mkdir()
    with pytest.raises(DownloadError, match=r"/a cannot be read: "):
        folder.digest("a")
    with pytest.raises(DownloadError, match=r"/a cannot be read: "):
        folder.read_json("a")
    with pytest.raises(DownloadError, match=r"/a cannot be removed: "):
        folder.remove("a")


def arrived(folder, name: str, data: bytes) -> tuple[int, str]:
    incoming = DownloadSink(folder, name)
    incoming.begin(Response(200, {}))
    incoming.write(data)
    try:
        return incoming.finish()
    except BaseException:
        incoming.discard()
        raise


def test_while_it_arrives_a_file_has_a_hidden_name_of_its_own(folder):
    one, other = DownloadSink(folder, "a.sql"), DownloadSink(folder, "a.sql")
    for incoming in (one, other):
        incoming.begin(Response(200, {}))
        incoming.write(b"x")
    one.finish()
    other.discard()
    assert names(folder) == ["a.sql"]


def test_to_discard_what_never_began_does_nothing(folder):
    DownloadSink(folder, "a.sql").discard()
    assert names(folder) == []


def test_a_zip_with_a_password_is_taken_as_it_is(folder):
    data = bytearray(zip_of(a="select 1;"))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1
    assert arrived(folder, "a.zip", bytes(data))[0] == len(data)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_may_be_packed_by_any_method_and_damage_is_found_in_each(folder, method):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as archive:
        archive.writestr("a.sql", b"select 1 from dual;\n" * 100)
    data = bytearray(packed.getvalue())
    assert arrived(folder, "a.zip", bytes(data))[0] == len(data)
    for at in range(60, 70):
        data[at] ^= 0x55
    with pytest.raises(IntegrityError, match=r"a\.zip is "):
        arrived(folder, "a.zip", bytes(data))


WHOLE = zip_of(first="select 1 from dual;", second="select 2 from dual;")


@PROPERTY
@given(st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(1, 255)), max_size=8), st.integers(0, len(WHOLE)))
def test_a_damaged_zip_is_taken_or_refused_but_never_breaks_the_check(damage, cut):
    data = bytearray(WHOLE)
    for at, bits in damage:
        data[at] ^= bits
    folder = in_memory()
    folder.make()
    try:
        arrived(folder, "a.zip", bytes(data[cut:] if cut % 2 else data[: len(data) - cut]))
    except IntegrityError:
        assert names(folder) == []
    else:
        assert names(folder) == ["a.zip"]


def test_a_zip_that_is_cut_anywhere_is_refused(folder):
    for end in range(len(WHOLE)):
        with pytest.raises(IntegrityError):
            arrived(folder, "a.zip", WHOLE[:end])


@pytest.mark.parametrize("name", ["a[1].sql", "a b.sql", "ä%20.sql", "a#b.sql", "a{b}.sql", "~.sql", "a!b.sql"])
def test_a_name_with_signs_of_its_own_meaning_elsewhere_is_just_a_name(folder, name):
    from mkw_airflow_provider.client.storage.download_sink import safe_name

    safe = safe_name(name, 7)
    assert arrived(folder, safe, b"data") == (4, sha256(b"data"))
    assert names(folder) == [safe]
    assert content(folder, safe) == b"data"
