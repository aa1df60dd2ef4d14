"""All files of a build in one folder: each fetched once, whatever happens in between."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import pytest

from mkw_airflow_provider.client.api.builds import Build
from mkw_airflow_provider.client.flows.download_build import Results
from mkw_airflow_provider.client.storage.folder import Folder
from mkw_airflow_provider.client.storage.manifest import MANIFEST, journal_of
from mkw_airflow_provider.exceptions import (
    DownloadError,
    ForbiddenError,
    IntegrityError,
    NotFoundError,
)
from tests.kit.files import Files, content, names, on_disk, put, sha256, zip_of
from tests.kit.simulation import World, body, build, says_no

CORE, STAGE, TWIN = zip_of(core="create table a;"), zip_of(stage="create table b;"), b"select 1;"
FILES = {5442: CORE, 5443: STAGE, 5444: TWIN, 5445: TWIN}
DOWNLOADS = [
    {"id": 5442, "pattern": "CORE_DV_HLS", "pattern_id": 808, "name": "CORE.zip"},
    {"id": 5443, "pattern": "STAGE_LOAD", "pattern_id": 809, "name": "STAGE.zip"},
    {"id": 5444, "pattern": "SCRIPTS", "pattern_id": 810, "name": "run.sql"},
    {"id": 5445, "pattern": "SCRIPTS", "pattern_id": 810, "name": "run.sql"},
]
FINISHED = build(5139, "FINISHED", project_id=402, downloads=DOWNLOADS)
JOURNAL = journal_of(5139)
ALL = ["CORE.zip", "STAGE.zip", "manifest.json", "run-5445.sql", "run.sql"]


def bring(
    world: World, folder: Folder, value: dict[str, Any] = FINISHED, patterns=None, max_parallel: int = 1
) -> dict[str, Any]:
    """What a try of the task does."""
    return Results(world, world.session, Build.from_json(value), folder).fetch(patterns, max_parallel)


def next_try(world: World) -> World:
    """The same world, in a new process."""
    return world


@pytest.mark.parametrize("max_parallel", [1, 4, 100])
def test_all_files_arrive_with_a_manifest(world, folder, max_parallel):
    Files(world, FILES)
    manifest = bring(world, folder, max_parallel=max_parallel)
    assert manifest == {
        "build_id": 5139,
        "project_id": 402,
        "status": "FINISHED",
        "files": [
            {
                "download_id": number,
                "pattern": pattern,
                "name": name,
                "path": folder.shown(final),
                "size": len(FILES[number]),
                "sha256": sha256(FILES[number]),
            }
            for number, pattern, name, final in [
                (5442, "CORE_DV_HLS", "CORE.zip", "CORE.zip"),
                (5443, "STAGE_LOAD", "STAGE.zip", "STAGE.zip"),
                (5444, "SCRIPTS", "run.sql", "run.sql"),
                (5445, "SCRIPTS", "run.sql", "run-5445.sql"),
            ]
        ],
    }
    assert json.loads(content(folder, MANIFEST)) == manifest
    assert names(folder) == ALL
    assert content(folder, "CORE.zip") == CORE


def test_a_destination_that_is_not_there_is_made(world, tmp_path):
    Files(world, FILES)
    bring(world, on_disk(tmp_path / "dwh" / "2026-04-02"))
    assert sorted(path.name for path in (tmp_path / "dwh" / "2026-04-02").iterdir()) == ALL


def test_each_file_is_named_in_the_log_with_its_size_and_hash(world, folder):
    Files(world, {5442: CORE})
    bring(world, folder, FINISHED | {"downloads": DOWNLOADS[:1]})
    assert world.logged() == [f"{folder.shown('CORE.zip')}: {len(CORE)} bytes, SHA-256 {sha256(CORE)}."]


def test_only_the_wanted_patterns_are_fetched(world, folder):
    files = Files(world, FILES)
    manifest = bring(world, folder, patterns=["SCRIPTS", "CORE_DV_HLS"])
    assert [file["download_id"] for file in manifest["files"]] == [5442, 5444, 5445]
    assert [number for number, _ in files.asked] == [5442, 5444, 5445]


@pytest.mark.parametrize(
    ("patterns", "words"),
    [
        (
            ["CORE", "NONE"],
            "build 5139 has no files of 'CORE', 'NONE'; it has files of CORE_DV_HLS, SCRIPTS, STAGE_LOAD",
        ),
        (["CORE_DV_HLS", "core_dv_hls"], "has no files of 'core_dv_hls'"),
        ([], "has no files of no pattern at all"),
    ],
)
def test_a_pattern_without_files_is_an_error_before_anything_is_fetched(world, folder, patterns, words):
    files = Files(world, FILES)
    with pytest.raises(DownloadError, match=words):
        bring(world, folder, patterns=patterns)
    assert (files.asked, names(folder)) == ([], [])


def test_run_again_nothing_is_fetched_twice(world, folder):
    files = Files(world, FILES)
    first = bring(world, folder)
    files.asked.clear()
    assert bring(world, folder) == first
    assert files.asked == []
    assert names(folder) == ALL
    assert (
        world.logged()[-1]
        == f"{folder.shown('run-5445.sql')} stands already, as it was downloaded: not asked for again."
    )


@pytest.mark.parametrize("change", ["longer", "other", "deleted"])
def test_a_file_that_was_changed_or_deleted_is_fetched_again_and_no_other(world, folder, change):
    files = Files(world, FILES)
    first = bring(world, folder)
    files.asked.clear()
    if change == "deleted":
        folder.remove("STAGE.zip")
    else:
        put(folder, "STAGE.zip", STAGE + b"!" if change == "longer" else bytes(len(STAGE)))
    assert bring(world, folder) == first
    assert files.asked == [(5443, None)]
    assert content(folder, "STAGE.zip") == STAGE


def test_after_a_broken_try_only_the_rest_is_fetched(world, folder):
    files = Files(world, FILES)
    files.instead = {number: lambda call: says_no(403, "Not yours") for number in (5444, 5445)}
    with pytest.raises(ForbiddenError, match="Not yours"):
        bring(world, folder)
    assert names(folder) == [JOURNAL, "CORE.zip", "STAGE.zip"]
    files.asked.clear()
    files.instead.clear()
    assert len(bring(next_try(world), folder)["files"]) == 4
    assert [number for number, _ in files.asked] == [5444, 5445]
    assert names(folder) == ALL


def test_a_try_that_is_killed_in_the_middle_of_a_file_leaves_what_was_whole(world, folder):
    files = Files(world, FILES)

    class Killed(BaseException):
        pass

    def kill(call):
        raise Killed

    files.instead[5443] = kill
    with pytest.raises(Killed):
        bring(world, folder)
    files.asked.clear()
    files.instead.clear()
    bring(next_try(world), folder)
    assert 5442 not in [number for number, _ in files.asked]
    assert names(folder) == ALL


def test_as_long_as_a_file_is_missing_there_is_no_manifest(world, folder):
    files = Files(world, FILES)
    bring(world, folder)
    folder.remove("run.sql")
    seen = []

    def look(call):
        seen.append(names(folder))
        return body(TWIN)

    files.instead[5444] = look
    bring(world, folder)
    (during,) = seen
    assert MANIFEST not in during
    assert JOURNAL in during


def test_the_manifest_is_written_when_all_files_stand(world, folder):
    files = Files(world, FILES)
    during = []

    def look(call):
        during.append(names(folder))
        return body(FILES[int(call.path.rpartition("/")[2])])

    files.instead = dict.fromkeys(FILES, look)
    bring(world, folder)
    assert [MANIFEST in seen for seen in during] == [False] * 4


@pytest.mark.parametrize(
    "manifest",
    [
        b"",
        b"null",
        b"[]",
        b'{"build_id": 5139}',
        b'{"build_id": 5139, "files": null}',
        b'{"build_id": 5139, "files": [null, 3, {}, {"download_id": [1]}]}',
        b'{"build_id": 5139, "files": {"download_id": 5442}}',
        b'{"build_id": 5139, "files": 7}',
        b'{"build_id": 5139, "files": [{"download_id": 5442, "path": "/etc/passwd", "size": 1, "sha256": "x"}]}',
    ],
)
def test_a_manifest_that_somebody_spoiled_counts_for_nothing(world, folder, manifest):
    files = Files(world, FILES)
    put(folder, MANIFEST, manifest)
    bring(world, folder)
    assert len(files.asked) == 4
    assert names(folder) == ALL


def test_a_folder_that_was_moved_is_fetched_anew_for_its_manifest_names_other_paths(world, folder):
    files = Files(world, FILES)
    bring(world, folder)
    moved = Folder(folder._filesystem, folder._root, "/elsewhere")
    files.asked.clear()
    assert bring(world, moved)["files"][0]["path"] == "/elsewhere/CORE.zip"
    assert len(files.asked) == 4


def test_files_of_other_origin_stay(world, folder):
    put(folder, "README", b"mine")
    Files(world, FILES)
    bring(world, folder)
    assert content(folder, "README") == b"mine"


def test_more_patterns_than_before_fetch_only_what_is_missing(world, folder):
    files = Files(world, FILES)
    bring(world, folder, patterns=["SCRIPTS"])
    files.asked.clear()
    bring(world, folder)
    assert [number for number, _ in files.asked] == [5442, 5443]


def test_a_file_that_is_not_whole_leaves_no_temporary_file(world, folder):
    files = Files(world, FILES)
    files.instead[5443] = lambda call: body(STAGE[:-30], etag='"x"')
    with pytest.raises(IntegrityError, match=r"STAGE\.zip"):
        bring(world, folder)
    assert names(folder) == [JOURNAL, "CORE.zip"]


def test_the_failure_of_one_file_stops_the_others(world, folder):
    files = Files(world, FILES)
    running = threading.Barrier(2, timeout=20)

    def endless():
        yield b"a first piece"
        running.wait()
        until = time.monotonic() + 20
        while not world.stop.is_set:
            assert time.monotonic() < until
        yield b"never taken"

    def fail(call):
        running.wait()
        return says_no(404, "No record found for id '5443'")

    files.instead = {5442: lambda call: body_of(endless()), 5443: fail}
    with pytest.raises(NotFoundError, match="5443"):
        bring(world, folder, max_parallel=2)
    assert sorted(number for number, _ in files.asked) == [5442, 5443]
    assert names(folder) == [JOURNAL]


def body_of(pieces):
    answer = body()
    answer.pieces = pieces
    return answer


def test_no_more_files_are_fetched_at_once_than_allowed(world, folder):
    files = Files(world, FILES)
    lock, now, most = threading.Lock(), [0], [0]

    def counted(data):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        yield data
        with lock:
            now[0] -= 1

    files.instead = {number: lambda call, data=data: body_of(counted(data)) for number, data in FILES.items()}
    bring(world, folder, max_parallel=2)
    assert most[0] in (1, 2)


def test_a_transfer_that_breaks_off_is_logged_and_resumed(world, folder):
    files = Files(world, {5442: CORE})
    files.breaks[5442] = [50]
    bring(world, folder, FINISHED | {"downloads": DOWNLOADS[:1]})
    assert files.asked == [(5442, None), (5442, "bytes=50-")]
    assert "connection reset in the middle" in world.logged("WARNING")[0]
