"""Files in a folder: complete or not there, on any file system, and errors that name them."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from mkw_airflow_provider.client.storage.folder import AtomicFile, Folder
from mkw_airflow_provider.exceptions import DownloadError
from tests.kit.files import content, in_memory, names, on_disk, put


def write(folder: Folder, name: str, data: bytes, writer: str = "1") -> AtomicFile:
    file = AtomicFile(folder, name, writer)
    file.file.write(data)
    return file


def test_folder_is_created_with_its_parents(tmp_path):
    folder = on_disk(tmp_path / "a" / "b")
    folder.create()
    folder.create()
    assert (tmp_path / "a" / "b").is_dir()
    assert Folder(folder._filesystem, f"{tmp_path}/", f"{tmp_path}/").shown("a") == f"{tmp_path}/a"


def test_folder_that_cannot_be_created_is_named(tmp_path):
    (tmp_path / "a").write_text("a file")
    with pytest.raises(DownloadError, match=r"the destination .*/a/b cannot be created: "):
        on_disk(tmp_path / "a" / "b").create()


def test_json_is_written_and_read(folder):
    folder.write_json("manifest.json", {"build_id": 5139}, "1")
    assert folder.read_json("manifest.json") == {"build_id": 5139}
    assert names(folder) == ["manifest.json"]


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"9" * 5_000, None])
def test_other_data_reads_as_none(folder, data):
    if data is not None:
        put(folder, "manifest.json", data)
    assert folder.read_json("manifest.json") is None


def test_huge_json_reads_as_none(folder, monkeypatch):
    monkeypatch.setattr("mkw_airflow_provider.client.storage.folder.MAX_JSON_FILE", 10)
    put(folder, "manifest.json", b"[" + b" " * 10 + b"]")
    assert folder.read_json("manifest.json") is None


def test_only_files_have_a_size(folder):
    put(folder, "a", b"data")
    put(folder, "b/c", b"data")
    assert (folder.size("a"), folder.size("b"), folder.size("c")) == (4, None, None)


def test_removing_a_missing_file_does_nothing(folder):
    put(folder, "a", b"")
    folder.remove("a")
    folder.remove("a")
    assert names(folder) == []


class FullFileSystem(MemoryFileSystem):
    """Fails at one operation, like a full disk."""

    cachable = False
    fails_at = "write"

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        file = super()._open(path, mode, **options)
        if "w" in mode and self.fails_at in ("write", "close"):
            setattr(file, self.fails_at, self._refuse)
        return file

    def cp_file(self, *args: Any, **options: Any) -> None:
        if self.fails_at == "copy":
            self._refuse()
        super().cp_file(*args, **options)

    def _refuse(self, *_: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("fails_at", ["write", "close", "copy"])
def test_full_store_error_names_the_file(fails_at):
    folder = in_memory(FullFileSystem)
    folder._filesystem.fails_at = fails_at
    folder.create()
    with pytest.raises(DownloadError, match=r"/manifest.json cannot be stored: .*No space left on device"):
        folder.write_json("manifest.json", {}, "1")
    assert names(folder) == []


def test_files_move_in_folders_with_odd_names(tmp_path):
    """fsspec takes some of these signs for patterns."""
    for root in ("a[1]", "a*b", "{x}"):
        folder = Folder(MemoryFileSystem(), f"/{tmp_path.name}/{root}", "memory:/")
        write(folder, "a.sql", b"data").commit()
        assert content(folder, "a.sql") == b"data"
        assert names(folder) == ["a.sql"]


def test_store_that_can_rename_renames():
    renamed = []

    class Renaming(MemoryFileSystem):
        cachable = False

        def mv(self, path1, path2, **options):
            renamed.append(path2)
            super().mv(path1, path2, **options)

    folder = in_memory(Renaming)
    write(folder, "a.sql", b"data").commit()
    assert (renamed, content(folder, "a.sql")) == ([folder.path("a.sql")], b"data")


def test_directory_at_the_final_name_is_an_error(folder):
    put(folder, "a.zip/x", b"somebody's")
    file = write(folder, "a.zip", b"data")
    with pytest.raises(DownloadError, match=r"/a.zip cannot be stored: its name is taken by a directory"):
        file.commit()
    file.discard()
    assert names(folder) == ["a.zip"]
    assert content(folder, "a.zip/x") == b"somebody's"


@pytest.mark.parametrize("kind", ["directory", "device", "pipe"])
def test_link_at_the_final_name_is_not_followed(tmp_path, kind):
    target = tmp_path / "victim"
    {"directory": os.mkdir, "device": lambda path: os.symlink("/dev/null", path), "pipe": os.mkfifo}[kind](target)
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "a.zip").symlink_to(target)
    with pytest.raises(DownloadError, match="its name is taken by a directory, or by something else"):
        write(on_disk(tmp_path / "results"), "a.zip", b"data").commit()
    assert kind != "directory" or list(target.iterdir()) == []


@pytest.mark.parametrize("exists", [True, False])
def test_link_to_a_file_is_replaced(tmp_path, exists):
    if exists:
        (tmp_path / "victim").write_bytes(b"old")
    (tmp_path / "a.zip").symlink_to(tmp_path / "victim")
    write(on_disk(tmp_path), "a.zip", b"data").commit()
    assert (tmp_path / "a.zip").read_bytes() == b"data"
    assert not (tmp_path / "a.zip").is_symlink()
    assert not exists or (tmp_path / "victim").read_bytes() == b"old"


def test_link_at_the_temporary_name_is_not_used(tmp_path):
    (tmp_path / "victim").write_bytes(b"old")
    (tmp_path / ".a.zip.1.part").symlink_to(tmp_path / "victim")
    write(on_disk(tmp_path), "a.zip", b"data").commit()
    assert (tmp_path / "victim").read_bytes() == b"old"
    assert names(on_disk(tmp_path)) == ["a.zip", "victim"]


def test_directory_at_the_temporary_name_is_error(tmp_path):
    (tmp_path / ".manifest.json.1.part").mkdir()
    with pytest.raises(DownloadError, match=r"manifest\.json cannot be stored"):
        on_disk(tmp_path).write_json("manifest.json", {}, "1")


WRITER = """
import sys
from fsspec.implementations.local import LocalFileSystem
from mkw_airflow_provider.client.storage.folder import AtomicFile, Folder
file = AtomicFile(Folder(LocalFileSystem(), sys.argv[1], sys.argv[1]), "a.zip", "1")
file.file.write(b"the beginning")
file.file.flush()
print("ready", flush=True)
sys.stdin.read()
file.commit()
"""


def test_next_attempt_replaces_a_leftover_part(tmp_path):
    with subprocess.Popen([sys.executable, "-c", WRITER, tmp_path], stdin=-1, stdout=-1, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGKILL)
    assert names(on_disk(tmp_path)) == [".a.zip.1.part"]
    write(on_disk(tmp_path), "a.zip", b"data").commit()
    assert names(on_disk(tmp_path)) == ["a.zip"]


def test_second_writer_never_stores_a_part(tmp_path):
    """A worker that Airflow considers dead may still write when the next attempt begins."""
    folder = on_disk(tmp_path)
    one = write(folder, "a.zip", b"all of it")
    other = write(folder, "a.zip", b"all ")
    with pytest.raises(DownloadError, match="another task is writing the same file"):
        one.commit()
    one.discard()
    other.file.write(b"of it")
    other.commit()
    assert content(folder, "a.zip") == b"all of it"
    assert names(folder) == ["a.zip"]


def test_discard_leaves_nothing_behind(folder):
    before = len(os.listdir("/dev/fd"))
    AtomicFile(folder, "a.sql", "1").discard()
    write(folder, "a.sql", b"data").discard()
    write(folder, "b.sql", b"data").commit()
    assert names(folder) == ["b.sql"]
    assert len(os.listdir("/dev/fd")) == before
