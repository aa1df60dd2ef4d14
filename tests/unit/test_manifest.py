"""Several tasks, one folder: no manifest entry is lost, and none makes another one download twice."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from mkw_airflow_provider.client.api.builds import Build
from mkw_airflow_provider.client.known_secrets import remember_secrets
from mkw_airflow_provider.client.storage.content_digest import Checksums
from mkw_airflow_provider.client.storage.manifest import MANIFEST, Manifest
from mkw_airflow_provider.exceptions import ForbiddenError
from mkw_airflow_provider.safe_values import safe_value
from tests.kit.builds import ALL, FILES, FINISHED, download
from tests.kit.files import Files, content, names, on_disk, put, sha256
from tests.kit.simulation import body, build, http_error

SCRIPTS, ZIPS = ["SCRIPTS"], ["CORE_DV_HLS", "STAGE_LOAD"]
#: Another build, with file names of its own.
NEXT = build(5140, "FINISHED", project_id=402, downloads=[{"id": 5501, "pattern": "SCRIPTS", "name": "run_04_03.sql"}])


def manifest_in(folder) -> dict[str, Any]:
    return json.loads(content(folder, MANIFEST))


def ids(manifest: dict[str, Any]) -> list[int]:
    return [file["download_id"] for file in manifest["files"]]


def test_tasks_keep_each_others_entries(world, folder):
    files = Files(world, FILES)
    scripts, zips = download(world, folder, patterns=SCRIPTS), download(world, folder, patterns=ZIPS)
    assert (ids(scripts), ids(zips)) == ([5444, 5445], [5442, 5443])
    assert manifest_in(folder)["files"] == zips["files"] + scripts["files"]
    files.requested.clear()
    assert download(world, folder, patterns=SCRIPTS) == scripts
    assert download(world, folder) == manifest_in(folder)
    assert files.requested == []
    assert names(folder) == ALL


def test_interleaved_tasks_keep_all_entries(world, folder):
    files = Files(world, FILES)

    def meanwhile(call):
        del files.instead[5445]
        download(world, folder, patterns=ZIPS)
        return body(FILES[5445])

    files.instead[5445] = meanwhile
    download(world, folder, patterns=SCRIPTS, max_parallel=1)
    assert ids(manifest_in(folder)) == [5442, 5443, 5444, 5445]


def test_entry_added_during_a_write_is_kept(folder):
    """The moment that a read-merge-write without locks would lose."""
    finished = Build.from_json(FINISHED)
    checksums = {number: Checksums(len(data), sha256(data), sha256(data)) for number, data in FILES.items()}
    file_names = {row.id: str(row.id) for row in finished.downloads}

    def task(*wanted):
        return Manifest(folder, finished, file_names, list(wanted), lambda number, claims: checksums[number])

    one, other = task(5442), task(5443)
    for number, manifest in ((5442, one), (5443, other)):
        manifest.begin({}, [number])
    written = folder.write_json

    def write(name, value, writer):
        if name == MANIFEST and not calls:
            calls.append(name)
            other.finish({5443: checksums[5443]})
        written(name, value, writer)

    calls: list[str] = []
    folder.write_json = write
    one.finish({5442: checksums[5442]})
    assert ids(manifest_in(folder)) == [5442, 5443]


TASK = """
import sys
from fsspec.implementations.local import LocalFileSystem
from mkw_airflow_provider.client.api.builds import Build
from mkw_airflow_provider.client.flows.download_build import BuildDownload
from mkw_airflow_provider.client.storage.folder import Folder
from tests.kit.files import Files
from tests.kit.simulation import World
downloads = [{"id": 100 + n, "pattern": f"P{n}", "name": f"{n}.sql"} for n in range(4)]
build = Build.from_json({"id": 1, "status": "FINISHED", "downloads": downloads})
world = World()
Files(world, {100 + n: b"select %d;" % n for n in range(4)})
for line in sys.stdin:
    BuildDownload(world, world.session, build, Folder(LocalFileSystem(), line.strip(), "")).run([sys.argv[1]])
    print("done", flush=True)
"""


def test_processes_lose_no_entry(tmp_path, repository):
    command = [sys.executable, "-c", TASK]
    tasks = [
        subprocess.Popen([*command, f"P{number}"], stdin=-1, stdout=-1, text=True, cwd=repository)
        for number in range(4)
    ]
    try:
        for turn in range(12):
            for task in tasks:
                task.stdin.write(f"{tmp_path}/{turn}\n")
                task.stdin.flush()
            assert [task.stdout.readline() for task in tasks] == ["done\n"] * 4
            folder = on_disk(tmp_path / str(turn))
            assert ids(manifest_in(folder)) == [100, 101, 102, 103]
            assert not [name for name in names(folder) if name.endswith(".part")]
    finally:
        for task in tasks:
            task.stdin.close()
            task.wait()
            task.stdout.close()


def test_failed_task_keeps_the_entries_of_others(world, folder):
    files = Files(world, FILES)
    scripts = download(world, folder, patterns=SCRIPTS)
    files.instead[5443] = lambda call: http_error(403, "Not yours")
    with pytest.raises(ForbiddenError):
        download(world, folder, patterns=ZIPS, max_parallel=1)
    assert manifest_in(folder) == scripts
    files.instead.clear()
    files.requested.clear()
    download(world, folder, patterns=ZIPS)
    assert [number for number, _ in files.requested] == [5443]
    assert ids(manifest_in(folder)) == [5442, 5443, 5444, 5445]


@pytest.mark.parametrize("change", ["other", "deleted"])
def test_changed_file_of_another_task_is_unlisted(world, folder, change):
    Files(world, FILES)
    download(world, folder, patterns=SCRIPTS)
    folder.remove("run.sql") if change == "deleted" else put(folder, "run.sql", bytes(len(FILES[5444])))
    download(world, folder, patterns=ZIPS)
    assert ids(manifest_in(folder)) == [5442, 5443, 5445]


def test_forged_entry_does_not_survive_a_merge(world, folder):
    Files(world, FILES)
    scripts = download(world, folder, patterns=SCRIPTS)
    put(folder, "evil.zip", b"x")
    forged = scripts["files"][0] | {"path": folder.shown("evil.zip"), "extra": 1}
    more = {"download_id": 97, "name": "evil.zip", "size": 1, "sha256": sha256(b"x")}
    put(folder, MANIFEST, json.dumps(scripts | {"files": [forged, more, scripts["files"][1]]}).encode())
    zips = download(world, folder, patterns=ZIPS)
    assert manifest_in(folder)["files"] == zips["files"] + scripts["files"]


def test_manifest_is_about_the_last_build(world, folder):
    files = Files(world, FILES | {5501: b"select 2;"})
    download(world, folder)
    files.instead[5501] = lambda call: http_error(403)
    with pytest.raises(ForbiddenError):
        download(world, folder, NEXT)
    assert MANIFEST not in names(folder)
    files.instead.clear()
    assert download(world, folder, NEXT) == manifest_in(folder)
    assert names(folder) == sorted([*ALL, "run_04_03.sql"])
    assert download(world, folder) == manifest_in(folder)


def test_manifest_of_another_build_is_ignored(world, folder):
    files = Files(world, FILES)
    download(world, folder)
    download(world, folder, FINISHED | {"id": 5140})
    assert len(files.requested) == 8


ODD = {"id": 2**70, "pattern": "P\ud83d", "pattern_id": 2**80, "name": "a\ud83d\0.sql"}


def test_manifest_on_disk_is_safe_for_airflow(world, folder):
    """It is the one that the task returns, and the next attempt relies on it."""
    files = Files(world, {2**70: b"select 1;", 5: b"select 2;"})
    odd = build(2**72, "FINISHED", project_id=2**71, downloads=[ODD, {"id": 5, "pattern": "Q", "name": "b.sql"}])
    manifest = download(world, folder, odd)
    assert manifest == safe_value(manifest) == manifest_in(folder)
    assert (manifest["project_id"], manifest["files"][1]["name"]) == (str(2**71), "a\ufffd\ufffd.sql")
    files.requested.clear()
    assert download(world, folder, odd) == manifest
    assert download(world, folder, odd, patterns=["Q"])["files"] == manifest["files"][:1]
    assert manifest_in(folder) == manifest
    assert files.requested == []


@pytest.mark.parametrize("number", [10**120, 10**300])
def test_long_ids_and_names_fit_into_any_folder(world, tmp_path, number):
    files = {number: b"select 1;", number + 1: b"select 2;"}
    Files(world, files)
    rows = [{"id": one, "pattern": "P", "name": "\u00fc" * 300 + ".sql"} for one in files]
    folder = on_disk(tmp_path)
    manifest = download(world, folder, build(number, "FINISHED", downloads=rows))
    assert len({file["path"] for file in manifest["files"]}) == 2
    assert len(names(folder)) == 3


def test_secret_in_a_name_is_replaced(world, folder):
    remember_secrets("only-i-know")
    listed = [{"id": 5501, "pattern": "SCRIPTS", "name": "run only-i-know.sql"}]
    value, files = build(5140, "FINISHED", downloads=listed), Files(world, {5501: b"select 1"})
    manifest = download(world, folder, value)
    assert "only-i-know" not in json.dumps(manifest) + content(folder, MANIFEST).decode()
    files.requested.clear()
    assert download(world, folder, value) == manifest
    assert files.requested == []
