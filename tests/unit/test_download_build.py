"""All files of a build in one folder: each downloaded once, whatever happens in between."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import pytest

from mkw_airflow_provider.client.api.builds import Build
from mkw_airflow_provider.client.flows.download_build import build_with_downloads
from mkw_airflow_provider.client.storage.content_digest import combined_digest
from mkw_airflow_provider.client.storage.manifest import MANIFEST
from mkw_airflow_provider.client.transports.stopping import StoppedError, StopSignal
from mkw_airflow_provider.exceptions import (
    BuildCanceledError,
    BuildFailedError,
    DownloadError,
    ForbiddenError,
    IntegrityError,
    NoFilesError,
    NotFoundError,
    ProtocolError,
)
from tests.kit.builds import ALL, CORE, DOWNLOADS, FILES, FINISHED, STAGE, TWIN, download
from tests.kit.files import Files, content, names, on_disk, put, sha256
from tests.kit.simulation import World, body, build, http_error


def read(world: World, value: dict[str, Any], **others: Any) -> Build:
    Files(world, {}).others = {"/api/v1/builds/5139": value, **others}
    return world.run(build_with_downloads(world.session, 5139))


def records(folder) -> list[str]:
    return [name for name in names(folder) if name.startswith(".manifest-")]


def test_downloads_come_with_the_build(world):
    found = read(world, FINISHED | {"downloads": DOWNLOADS[::-1]})
    assert [download.id for download in found.downloads] == [5442, 5443, 5444, 5445]
    assert world.requested == ["GET /builds/5139"]


def test_build_without_downloads_lists_them(world):
    listed = [{"id": 5442, "pattern_id": 808, "name": "CORE.zip"}, {"id": 5443, "pattern_id": 1, "name": "x.zip"}]
    patterns = {"/api/v1/downloads": listed, "/api/v1/patterns": [{"id": 808, "name": "CORE_DV_HLS"}]}
    found = read(world, build(5139, "FINISHED"), **patterns)
    assert [download.pattern for download in found.downloads] == ["CORE_DV_HLS", None]
    assert world.requested == ["GET /builds/5139", "GET /downloads?build_id=5139", "GET /patterns"]


@pytest.mark.parametrize("entry", [None, 5446, "x.zip", [], {}, {"id": None, "name": "x.zip"}, {"id": "x"}])
def test_unreadable_download_is_found_in_the_list(world, entry):
    listed = [row | {"build_id": 5139} for row in [*DOWNLOADS, {"id": 5446, "pattern": "SCRIPTS", "name": "x.zip"}]]
    found = read(world, FINISHED | {"downloads": [*DOWNLOADS, entry]}, **{"/api/v1/downloads": listed})
    assert [download.id for download in found.downloads] == [5442, 5443, 5444, 5445, 5446]


def test_unreadable_download_is_an_error(world):
    broken = FINISHED | {"downloads": [*DOWNLOADS, {"name": "x.zip"}]}
    with pytest.raises(ProtocolError, match="build 5139 lists 5 downloads, but only 4 of them are readable"):
        read(world, broken, **{"/api/v1/downloads": DOWNLOADS})


def test_build_may_have_no_downloads(world):
    assert read(world, build(5139, "FINISHED"), **{"/api/v1/downloads": []}).downloads == ()


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        ("BUILDING", DownloadError, "build 5139 is BUILDING and has no files before it is FINISHED; wait for it first"),
        ("FAILED", BuildFailedError, "5139"),
        ("CANCELED", BuildCanceledError, "5139"),
        ("DONE\nforged", DownloadError, "build 5139 is DONE forged and has no files"),
    ],
)
def test_only_a_finished_build_has_files(world, status, kind, words):
    with pytest.raises(kind, match=words):
        read(world, build(5139, status, downloads=DOWNLOADS))


@pytest.mark.parametrize("max_parallel", [1, 4, 100])
def test_all_files_arrive_with_a_manifest(world, folder, max_parallel):
    Files(world, FILES)
    manifest = download(world, folder, max_parallel=max_parallel)
    contents = {entry["download_id"]: entry.pop("content") for entry in manifest["files"]}
    assert contents[5444] == contents[5445] == sha256(TWIN)
    assert manifest == {
        "content": combined_digest((row["pattern"], contents[row["id"]]) for row in DOWNLOADS),
        "build_id": 5139,
        "project_id": 402,
        "status": "FINISHED",
        "files": [
            {
                "download_id": row["id"],
                "pattern": row["pattern"],
                "pattern_id": row["pattern_id"],
                "name": row["name"],
                "path": folder.shown("run-5445.sql" if row["id"] == 5445 else row["name"]),
                "size": len(FILES[row["id"]]),
                "sha256": sha256(FILES[row["id"]]),
            }
            for row in DOWNLOADS
        ],
    }
    for entry in manifest["files"]:
        entry["content"] = contents[entry["download_id"]]
    assert json.loads(content(folder, MANIFEST)) == manifest
    assert names(folder) == ALL
    assert content(folder, "CORE.zip") == CORE


def test_log_names_the_folder_once_and_each_file(world, folder):
    Files(world, FILES)
    download(world, folder, patterns=["CORE_DV_HLS"])
    download(world, folder, patterns=["CORE_DV_HLS", "STAGE_LOAD"])
    assert world.logged() == [
        f"Downloading 1 file of build 5139 to {folder}.",
        f"CORE.zip: {len(CORE)} bytes.",
        "CORE.zip: already downloaded and unchanged; skipped.",
        f"Downloading 1 file of build 5139 to {folder}.",
        f"STAGE.zip: {len(STAGE)} bytes.",
    ]


def test_foreign_pattern_cannot_forge_a_line(world, folder):
    rows = [row | {"pattern": "A\nforged"} for row in DOWNLOADS]
    with pytest.raises(NoFilesError, match="it has files of A forged"):
        download(world, folder, FINISHED | {"downloads": rows}, patterns=["CORE"])


@pytest.mark.parametrize(
    ("patterns", "words"),
    [
        (["CORE", "NONE"], "has no files of 'CORE', 'NONE'; it has files of CORE_DV_HLS, SCRIPTS, STAGE_LOAD"),
        (["CORE_DV_HLS", "core_dv_hls"], "build 5139 has no files of 'core_dv_hls'"),
        ([], "has no files of an empty list of patterns"),
    ],
)
def test_pattern_without_files_is_an_error(world, folder, patterns, words):
    files = Files(world, FILES)
    with pytest.raises(NoFilesError, match=words):
        download(world, folder, patterns=patterns)
    assert (files.requested, names(folder)) == ([], [])


@pytest.mark.parametrize("change", ["nothing", "longer", "other", "deleted"])
def test_only_a_changed_file_is_downloaded_again(world, folder, change):
    files = Files(world, FILES)
    first = download(world, folder)
    files.requested.clear()
    if change == "deleted":
        folder.remove("STAGE.zip")
    elif change != "nothing":
        put(folder, "STAGE.zip", STAGE + b"!" if change == "longer" else bytes(len(STAGE)))
    assert download(world, folder) == first
    assert files.requested == ([] if change == "nothing" else [(5443, None)])
    assert content(folder, "STAGE.zip") == STAGE
    assert names(folder) == ALL


@pytest.mark.parametrize("failure", [ForbiddenError, KeyboardInterrupt])
def test_next_attempt_downloads_the_rest(world, folder, failure):
    files = Files(world, FILES)

    def fail(call):
        if failure is KeyboardInterrupt:
            raise failure
        return http_error(403, "Not yours")

    files.instead = dict.fromkeys((5444, 5445), fail)
    with pytest.raises(failure):
        download(world, folder, max_parallel=1)
    assert names(folder) == [*records(folder), "CORE.zip", "STAGE.zip"]
    assert len(records(folder)) == 1
    files.requested.clear()
    files.instead.clear()
    assert len(download(world, folder)["files"]) == 4
    assert sorted(number for number, _ in files.requested) == [5444, 5445]
    assert names(folder) == ALL


def test_manifest_is_written_last(world, folder):
    """Neither while files arrive for the first time, nor while one that it lists is missing."""
    files = Files(world, FILES)
    seen = []

    def response(call):
        seen.append(MANIFEST in names(folder))
        return body(FILES[int(call.path.rpartition("/")[2])])

    files.instead = dict.fromkeys(FILES, response)
    download(world, folder)
    folder.remove("run.sql")
    download(world, folder)
    assert seen == [False] * 5


@pytest.mark.parametrize(
    "entry",
    [
        {"content": "f" * 64, "extra": "field"},
        {"download_id": True},
        {"download_id": [1]},
        {"download_id": 97},
        {"name": "other.zip"},
        {"size": len(CORE) - 1},
        {"size": "715"},
        {"sha256": "0" * 64},
        {"sha256": None},
        {"path": "/etc/passwd"},
    ],
)
def test_foreign_manifest_is_verified(world, folder, entry):
    """An entry counts only if its id and name are the build's, and its file has its size and hash."""
    files = Files(world, FILES)
    true = download(world, folder)
    files.requested.clear()
    forged = json.dumps(true | {"files": [true["files"][0] | entry, *true["files"][1:]], "x": 1}).encode()
    put(folder, MANIFEST, forged)
    assert download(world, folder) == true == json.loads(content(folder, MANIFEST))
    is_believed = bool(entry.keys() & {"content", "path"})
    assert files.requested == ([] if is_believed else [(5442, None)])


@pytest.mark.parametrize(
    "manifest",
    [
        "",
        "null",
        "[]",
        '{"build_id": 5139}',
        '{"build_id": 5139, "files": [null, 3, {}]}',
        '{"build_id": 5139, "files": {"download_id": 5442}}',
        f'{{"build_id": {"9" * 4_000}, "files": [{{"download_id": 5442, "size": {"9" * 4_000}}}]}}',
    ],
)
def test_unreadable_manifest_is_replaced(world, folder, manifest):
    files = Files(world, FILES)
    put(folder, MANIFEST, manifest.encode())
    download(world, folder)
    assert len(files.requested) == 4
    assert names(folder) == ALL


def test_damaged_zip_is_downloaded_again(world, folder):
    """Even if a forged entry of the manifest has its size and hash."""
    files = Files(world, FILES)
    manifest = download(world, folder)
    put(folder, "CORE.zip", b"not a ZIP")
    manifest["files"][0] |= {"size": 9, "sha256": sha256(b"not a ZIP")}
    put(folder, MANIFEST, json.dumps(manifest).encode())
    files.requested.clear()
    download(world, folder)
    assert files.requested == [(5442, None)]


def test_moved_folder_is_not_downloaded_again(world, tmp_path):
    files = Files(world, FILES)
    download(world, on_disk(tmp_path / "a"))
    (tmp_path / "a").rename(tmp_path / "b")
    files.requested.clear()
    assert download(world, on_disk(tmp_path / "b"))["files"][0]["path"] == f"{tmp_path}/b/CORE.zip"
    assert files.requested == []


def test_other_files_stay(world, folder):
    put(folder, "README", b"mine")
    put(folder, ".manifest-old.json", b"mine")
    Files(world, FILES)
    download(world, folder)
    assert (content(folder, "README"), content(folder, ".manifest-old.json")) == (b"mine", b"mine")


def test_incomplete_file_leaves_no_temporary_file(world, folder):
    files = Files(world, FILES)
    files.instead[5443] = lambda call: body(STAGE[:-30], etag='"x"')
    with pytest.raises(IntegrityError, match=r"STAGE\.zip"):
        download(world, folder, max_parallel=1)
    assert names(folder) == [*records(folder), "CORE.zip"]


def test_failed_file_stops_the_other_files(world, folder):
    """The next attempt downloads all of them."""
    files = Files(world, FILES)
    running = threading.Barrier(2, timeout=20)
    refused = threading.Event()

    def endless():
        yield b"a first piece"
        running.wait()
        assert refused.wait(20)
        while not world.stop.is_set:
            time.sleep(0.01)
        yield b"never taken"

    def fail(call):
        running.wait()
        refused.set()
        return http_error(404, "No record found for id '5443'")

    files.instead = {5442: lambda call: body_of(endless()), 5443: fail}
    with pytest.raises(NotFoundError, match="5443"):
        download(world, folder, max_parallel=2)
    assert sorted(number for number, _ in files.requested) == [5442, 5443]
    assert names(folder) == records(folder)
    files.instead.clear()
    assert len(download(world, folder)["files"]) == 4


def body_of(pieces):
    response = body()
    response.pieces = pieces
    return response


def test_killed_task_stops(world, folder):
    files = Files(world, FILES)

    stop = StopSignal()
    files.instead[5443] = lambda call: stop.set() or body(STAGE)
    with pytest.raises(StoppedError):
        download(world, folder, max_parallel=1, stop=stop)
    assert len(files.requested) == 2
    assert MANIFEST not in names(folder)


def test_parallel_downloads_are_bounded(world, folder):
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
    download(world, folder, max_parallel=2)
    assert most[0] in (1, 2)
