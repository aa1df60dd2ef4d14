"""What a killed process left half written goes with the next try; what somebody still writes stays."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mkw_airflow_provider.client.flows.download_build import download_file
from mkw_airflow_provider.client.request import Response
from mkw_airflow_provider.client.storage.download_sink import DownloadSink
from mkw_airflow_provider.client.storage.folder import AtomicFile
from tests.kit.files import Files, content, in_memory, names, on_disk, put
from tests.kit.simulation import body
from tests.unit.test_results import ALL, FILES, bring

OTHERS = [".a.zip.lock", "a.zip.0123456789ab.lock", ".a.zip.0123456789ab", ".a.zip.0123456789ab.part"]
WRITER = """
import sys
from fsspec.implementations.local import LocalFileSystem
from mkw_airflow_provider.client.storage.folder import Folder
from mkw_airflow_provider.client.storage.download_sink import IncomingFile
from mkw_airflow_provider.client.request import Reply

incoming = IncomingFile(Folder(LocalFileSystem(), sys.argv[1], sys.argv[1]), "CORE.zip")
incoming.begin(Reply(200, {}))
incoming.write(b"the beginning")
print("ready", flush=True)
sys.stdin.read()
"""


@contextmanager
def another_task(path: Path) -> Iterator[subprocess.Popen]:
    """A process in the middle of a file. It goes on until it is killed."""
    command = [sys.executable, "-c", WRITER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def path(tmp_path):
    (tmp_path / "results").mkdir()
    return tmp_path / "results"


def drafts(path: Path) -> list[str]:
    return sorted(file.name for file in path.iterdir() if file.name.endswith((".part", ".lock")))


def test_what_a_killed_try_left_is_removed_by_the_next_one(world, path):
    with another_task(path) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
    lock, part = drafts(path)
    assert part.removesuffix(".part") == lock.removesuffix(".lock")
    Files(world, FILES)
    bring(world, on_disk(path))
    assert names(on_disk(path)) == ALL


def test_what_another_task_is_writing_stays_and_it_goes_on(world, path):
    with another_task(path):
        before = drafts(path)
        Files(world, FILES)
        bring(world, on_disk(path))
        assert drafts(path) == before
        assert len(before) == 2


def test_what_this_process_is_writing_in_another_thread_stays(world, path):
    Files(world, FILES)
    folder = on_disk(path)
    incoming = DownloadSink(folder, "mine.sql")
    incoming.begin(Response(200, {}))
    incoming.write(b"data")
    bring(world, folder)
    incoming.start_over()
    incoming.begin(Response(200, {}))
    bring(world, folder)
    incoming.write(b"other data")
    incoming.finish()
    assert content(folder, "mine.sql") == b"other data"
    assert names(folder) == sorted([*ALL, "mine.sql"])


def test_a_zip_that_is_being_checked_is_not_taken_for_a_leftover(world, path, monkeypatch):
    folder = on_disk(path)
    check = DownloadSink._check_zip

    def sweep_meanwhile(incoming):
        folder.remove_leftovers()
        check(incoming)

    monkeypatch.setattr(DownloadSink, "_check_zip", sweep_meanwhile)
    Files(world, FILES)
    bring(world, folder)
    assert names(folder) == ALL


def test_a_draft_whose_lock_is_swept_before_it_is_held_is_not_lost(path, monkeypatch):
    import fcntl

    folder, lock, swept = on_disk(path), fcntl.flock, []

    def sweep_first(file, operation):
        if not swept:
            swept.extend(drafts(path))
            folder.remove_leftovers()
            assert drafts(path) == []
        lock(file, operation)

    monkeypatch.setattr(fcntl, "flock", sweep_first)
    draft = AtomicFile(folder, "a.sql")
    with draft.open() as file:
        file.write(b"data")
    folder.remove_leftovers()
    draft.keep()
    assert len(swept) == 1
    assert content(folder, "a.sql") == b"data"
    assert names(folder) == ["a.sql"]


def test_where_the_file_system_knows_no_locks_nothing_is_removed(world, path, monkeypatch):
    import errno
    import fcntl

    def no_locks(file, operation):
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    folder = on_disk(path)
    left = [".CORE.zip.0123456789ab.lock", ".CORE.zip.0123456789ab.part"]
    for name in left:
        put(folder, name, b"")
    Files(world, FILES)
    bring(world, folder)
    assert names(folder) == sorted([*ALL, *left])


@pytest.mark.parametrize("name", OTHERS)
def test_hidden_files_of_other_programs_stay(world, path, name):
    put(on_disk(path), name, b"mine")
    Files(world, FILES)
    bring(world, on_disk(path))
    assert content(on_disk(path), name) == b"mine"


def test_a_store_is_not_searched(world):
    folder = in_memory()
    folder.make()
    put(folder, ".CORE.zip.0123456789ab.lock", b"somebody else's, perhaps")
    folder.remove_leftovers()
    assert names(folder) == [".CORE.zip.0123456789ab.lock"]


def test_no_file_stays_open_and_locked(world, path):
    """A worker may run for weeks."""
    before = open_files()
    Files(world, FILES)
    bring(world, on_disk(path))
    files = Files(world, {1: b"x"})
    files.instead[1] = lambda call: body(b"PK", content_length="9")
    with pytest.raises(Exception, match="2 bytes came, the server announced 9"):
        download_file(world, world.session, 1, on_disk(path), "a.zip")
    assert open_files() == before


def open_files() -> int:
    return len(list(Path("/dev/fd").iterdir()))
