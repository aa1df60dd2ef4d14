"""DownloadBuildOperator: the files of a finished build in a folder, each downloaded once."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec
import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException, ObjectStoragePath

from mkw_airflow_provider.emulator import Emulator
from mkw_airflow_provider.exceptions import (
    ConfigurationError,
    ConnectionFailedError,
    DownloadError,
    IntegrityError,
)
from mkw_airflow_provider.hooks.metakraftwerk import MetaKraftwerkHook
from mkw_airflow_provider.operators.build import DownloadBuildOperator
from tests.airflow.conftest import Connect, Log
from tests.kit.tasks import attach, context_of

BUILD = 5139
FILES = "/api/v1/downloads/*"


@pytest.fixture(autouse=True)
def _a_finished_build(emulator: Emulator, connect: Connect) -> None:
    """Build 5139 with files of two patterns."""
    emulator.set(build_seconds=0)
    emulator.start_build(instances=["AIRPLANE", "STG_AIRPORT"])


def _task(destination: Any, **arguments: Any) -> DownloadBuildOperator:
    return DownloadBuildOperator(**{"task_id": "fetch", "build_id": BUILD, "destination": destination, **arguments})


def _fetch(destination: Any, **arguments: Any) -> dict[str, Any]:
    task = _task(destination, **arguments)
    manifest: dict[str, Any] = task.execute(context_of(task))
    return manifest


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class TestChangedInstances:
    def test_are_counted_against_the_previous_build(self, emulator: Emulator, tmp_path: Path, log: Log) -> None:
        emulator.set_instance(1001, changed=True)
        emulator.start_build(instances=["AIRPLANE", "STG_AIRPORT"])
        _fetch(str(tmp_path), build_id=BUILD + 1)
        assert log.lines[-1] == f"Build {BUILD + 1}: 1 of 2 instances changed since the previous build."

    @pytest.mark.parametrize(
        ("action", "arguments"),
        [("status", {"status": 403}), ("status", {"status": 502}), ("reset", {}), ("truncate", {"fraction": 0.5})],
        ids=["forbidden", "unavailable", "no response", "cut"],
    )
    def test_are_omitted_if_metadata_is_missing(
        self, emulator: Emulator, tmp_path: Path, log: Log, action: str, arguments: dict[str, Any]
    ) -> None:
        emulator.fault(action, method="POST", path="/api/v1/metadata", times=None, **arguments)
        assert len(_fetch(str(tmp_path))["files"]) == 2
        assert not any("instances changed" in line for line in log.lines)
        assert len(emulator.requests("POST", "/api/v1/metadata")) == 1


class TestManifest:
    def test_is_returned_and_written(self, emulator: Emulator, tmp_path: Path, log: Log) -> None:
        folder = tmp_path / "new" / "folder"
        manifest = _fetch(str(folder))
        assert json.loads((folder / "manifest.json").read_text()) == manifest
        files = manifest.pop("files")
        assert len(manifest.pop("content")) == 64
        assert manifest == {"build_id": BUILD, "project_id": 402, "status": "FINISHED"}
        assert [(file["pattern"], file["pattern_id"]) for file in files] == [("CORE_DV_HLS", 808), ("STAGE_LOAD", 810)]
        assert [file["download_id"] for file in files] == [item["id"] for item in emulator.downloads()]
        for file in files:
            data = Path(file["path"]).read_bytes()
            assert file["path"] == f"{folder}/{file['name']}"
            assert (file["size"], file["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
        assert _names(folder) == sorted([*(file["name"] for file in files), "manifest.json"])
        assert log.lines[-2:] == [
            f"Build {BUILD}: 2 files, {sum(file['size'] for file in files)} bytes.",
            f"Build {BUILD}: 2 of 2 instances changed since the previous build.",
        ]

    def test_content_ignores_given_rules(self, emulator: Emulator, tmp_path: Path) -> None:
        everything = _fetch(str(tmp_path))
        nothing = _fetch(str(tmp_path), ignore_members=["."])
        assert nothing["content"] != everything["content"]
        assert len({file["content"] for file in nothing["files"]}) == 1
        assert _fetch(str(tmp_path), ignore_lines=["$"])["content"] not in (everything["content"], nothing["content"])
        assert [item["downloaded"] for item in emulator.downloads()] == [1, 1]

    def test_airflow_stores_it_with_any_names(self, emulator: Emulator, tmp_path: Path) -> None:
        emulator.fault(
            "status",
            path=f"/api/v1/builds/{BUILD}",
            status=200,
            body={
                "id": BUILD,
                "status": "FINISHED",
                "project_id": 2**70,
                "downloads": [{"id": 5442, "pattern": "\ud800", "name": "a\ud800\0.txt"}],
            },
        )
        emulator.set_download(5442, size=10)
        manifest = _fetch(str(tmp_path))
        json.dumps(manifest, ensure_ascii=False).encode()
        assert manifest["files"][0]["path"] == f"{tmp_path}/a.txt"


class TestPatterns:
    @pytest.mark.parametrize("patterns", [["STAGE_LOAD"], '["STAGE_LOAD"]'])
    def test_filter(self, emulator: Emulator, tmp_path: Path, patterns: Any) -> None:
        manifest = _fetch(str(tmp_path), patterns=patterns)
        assert [file["pattern"] for file in manifest["files"]] == ["STAGE_LOAD"]
        assert [item["downloaded"] for item in emulator.downloads()] == [0, 1]

    def test_without_files_are_an_error(self, emulator: Emulator, tmp_path: Path) -> None:
        with pytest.raises(AirflowFailException) as raised:
            _fetch(str(tmp_path), patterns=["CORE_DV_HLS", "NO_SUCH"])
        assert str(raised.value) == f"build {BUILD} has no files of 'NO_SUCH'; it has files of CORE_DV_HLS, STAGE_LOAD"
        assert emulator.requests("GET", FILES) == []


class TestBuildsWithoutFiles:
    def test_running_build(self, emulator: Emulator, tmp_path: Path) -> None:
        emulator.set(build_seconds=60)
        build_id = emulator.start_build()["id"]
        with pytest.raises(DownloadError, match=f"build {build_id} is BUILDING and has no files before it is FINISHED"):
            _fetch(str(tmp_path), build_id=build_id)
        assert _names(tmp_path) == []

    @pytest.mark.parametrize("status", ["FAILED", "CANCELED"])
    def test_failed_build(self, emulator: Emulator, tmp_path: Path, status: str) -> None:
        emulator.set(build_seconds=60)
        build_id = emulator.start_build()["id"]
        emulator.end_build(build_id, status, "the reason")
        with pytest.raises(AirflowFailException, match="the reason"):
            _fetch(str(tmp_path), build_id=build_id)

    @pytest.mark.parametrize(("if_empty", "kind"), [("fail", AirflowFailException), ("skip", AirflowSkipException)])
    def test_empty_build(self, emulator: Emulator, tmp_path: Path, if_empty: Any, kind: type[Exception]) -> None:
        body = {"id": BUILD, "status": "FINISHED", "downloads": []}
        emulator.fault("status", status=200, body=body, path=f"/api/v1/builds/{BUILD}")
        emulator.fault("status", status=200, body=[], path="/api/v1/downloads")
        with pytest.raises(kind, match=f"build {BUILD} is FINISHED but has no files"):
            _fetch(str(tmp_path), if_empty=if_empty)
        assert _names(tmp_path) == []

    def test_missing_build(self, tmp_path: Path) -> None:
        with pytest.raises(AirflowFailException, match="No record found for id '17'"):
            _fetch(str(tmp_path), build_id="17")


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\temp\\x.zip", "x.zip"),
        ("manifest.json", "manifest-5442.json"),
        ("..", "download-5442"),
    ],
)
def test_no_name_leaves_the_folder(emulator: Emulator, tmp_path: Path, name: str, file: str) -> None:
    emulator.set_download(5442, name=name, size=10 if file != "x.zip" else None)
    manifest = _fetch(str(tmp_path / "results"), patterns=["CORE_DV_HLS"])
    assert manifest["files"][0]["path"] == f"{tmp_path}/results/{file}"
    assert manifest["files"][0]["name"] == name
    assert _names(tmp_path) == ["results"]


class TestDestinations:
    def test_file_url(self, tmp_path: Path) -> None:
        manifest = _fetch(f"file://{tmp_path}/results")
        for file in manifest["files"]:
            assert file["path"] == f"file://{tmp_path}/results/{file['name']}"
        assert json.loads((tmp_path / "results" / "manifest.json").read_text()) == manifest

    def test_object_storage(self, tmp_path: Path) -> None:
        """A store in memory, attached as Airflow's pages say, represents all that fsspec supports."""
        attach(protocol="memory", fs=fsspec.filesystem("memory"))
        root = f"memory://{tmp_path.name}/dwh"
        manifest = _fetch(root)
        for file in manifest["files"]:
            assert file["path"] == f"{root}/{file['name']}"
            with fsspec.open(file["path"], "rb") as stored:
                assert hashlib.sha256(stored.read()).hexdigest() == file["sha256"]
        with fsspec.open(f"{root}/manifest.json", "rb") as stored:
            assert json.loads(stored.read()) == manifest
        assert _fetch(root) == manifest

    def test_storage_connection(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """It may be in the URL, too; which of the two is used, Airflow's object storage decides."""
        monkeypatch.setenv("AIRFLOW_CONN_THE_STORE", '{"conn_type": "file"}')
        assert len(_fetch(f"file://{tmp_path}", storage_conn_id="the_store")["files"]) == 2
        assert len(_fetch(f"file://the_store@{tmp_path}/more")["files"]) == 2

    @pytest.mark.parametrize("kind", [str, Path, PurePosixPath, lambda path: ObjectStoragePath(f"file://{path}")])
    def test_path_object_is_rendered(self, tmp_path: Path, kind: Any) -> None:
        task = _task(kind(tmp_path / "{{ run_id }}"))
        task.render_template_fields({"run_id": "night_1"})
        task.execute(context_of(task))
        assert _names(tmp_path) == ["night_1"]

    @pytest.mark.parametrize(
        ("destination", "words"),
        [
            ("data/out", "is relative"),
            (Path("data/out"), "is relative"),
            ("file:data/out", "is relative"),
            ("file://data/out", "names the host 'data'"),
            ("file://localhost/data/out", "names the host 'localhost'"),
            ("FILE://data/out", "names the host 'data'"),
            ("local://conn@data/out", "names the host 'data'"),
            ("file://", "names the host ''"),
            (" ", "is empty"),
        ],
    )
    def test_wrong_destination_fails_at_parse_time(self, destination: Any, words: str) -> None:
        with pytest.raises(ConfigurationError, match=words):
            _task(destination)

    @pytest.mark.parametrize(
        ("rendered", "words"),
        [
            ("/data/{{ ds }}", "still contains a template"),
            ("s3://bucket/{% if x %}", "still contains a template"),
            (Path("/data/{{ ds }}"), "still contains a template"),
            ("~nobody-of-this-name/out", "names a user that is not known"),
            ("data/out", "is relative"),
            (None, "rendered to nothing"),
            ("None", "rendered to nothing"),
            ("nosuch://bucket/dwh", "cannot be used"),
            ("s3:///", "cannot be used"),
        ],
    )
    def test_wrong_rendered_destination_is_refused(
        self, emulator: Emulator, tmp_path: Path, rendered: Any, words: str
    ) -> None:
        task = _task(str(tmp_path))
        task.destination = rendered
        with pytest.raises(AirflowFailException, match=f"`destination` .*{words}"):
            task.execute(context_of(task))
        assert emulator.requests() == []

    def test_folder_that_cannot_be_created_is_named(self, emulator: Emulator, tmp_path: Path) -> None:
        (tmp_path / "taken").write_text("a file")
        with pytest.raises(DownloadError, match=f"the destination {tmp_path}/taken/x cannot be created"):
            _fetch(f"{tmp_path}/taken/x")
        assert emulator.requests("GET", FILES) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"ignore_lines": "^x"}, r"`ignore_lines` must be a list of regular expressions.*write \['\^x'\]"),
        ({"ignore_members": ["("]}, r"`ignore_members\[0\]` is not a regular expression: '\('"),
        ({"ignore_members": [1]}, r"`ignore_members\[0\]` must be"),
        ({"if_empty": "succeed"}, "`if_empty` must be one of fail, skip, not 'succeed'"),
        ({"max_parallel": 0}, "`max_parallel` must be a whole number of at least 1"),
    ],
)
def test_wrong_argument_fails_at_parse_time(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        _task("/data", **arguments)


class TestRunAgain:
    @pytest.mark.parametrize("damage", ["none", "empty", "gone"])
    def test_only_damaged_files_are_requested(self, emulator: Emulator, tmp_path: Path, damage: str) -> None:
        """A download may count as the last one and change later builds."""
        manifest = _fetch(str(tmp_path))
        path = Path(manifest["files"][0]["path"])
        if damage == "gone":
            path.unlink()
        elif damage == "empty":
            path.write_bytes(b"")
        assert _fetch(str(tmp_path)) == manifest
        assert [item["downloaded"] for item in emulator.downloads()] == [1 if damage == "none" else 2, 1]

    def test_failed_task_downloads_the_rest(self, emulator: Emulator, connect: Connect, tmp_path: Path) -> None:
        connect(outage_tolerance=0.2)
        second = emulator.downloads()[1]["id"]
        emulator.fault("reset", path=f"/api/v1/downloads/{second}", times=None)
        task = _task(str(tmp_path), max_parallel=1)
        with pytest.raises(ConnectionFailedError):
            task.execute(context_of(task))
        assert not (tmp_path / "manifest.json").exists()
        emulator.clear_faults()
        assert len(task.execute(context_of(task))["files"]) == 2
        assert [item["downloaded"] for item in emulator.downloads()] == [1, 1]
        assert not [name for name in _names(tmp_path) if name.startswith(".")]


def test_damaged_zip_is_an_error(emulator: Emulator, tmp_path: Path) -> None:
    emulator.set_download(5442, size=50)
    with pytest.raises(IntegrityError, match="is not a complete ZIP file"):
        _fetch(str(tmp_path), patterns=["CORE_DV_HLS"])
    assert not list(tmp_path.glob("*.zip"))


def test_kill_stops_the_downloads(emulator: Emulator, tmp_path: Path, log: Log) -> None:
    first, second = (item["id"] for item in emulator.downloads())
    emulator.set_download(second, name="large.bin", size=50_000_000)
    task = _task(str(tmp_path), max_parallel=1)
    log.once(".zip: ", task.on_kill)
    with pytest.raises(DownloadError, match="the task is being killed; complete files stay"):
        task.execute(context_of(task))
    assert not {"large.bin", "manifest.json"} & set(_names(tmp_path))
    assert [file["download_id"] for file in _fetch(str(tmp_path))["files"]] == [first, second]
    assert (tmp_path / "large.bin").stat().st_size == 50_000_000
    assert len(emulator.requests("GET", f"/api/v1/downloads/{first}")) == 1


def test_kill_while_the_connection_is_read(emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The signal may come at any moment: on_kill reads no connection itself, and nothing is requested afterward."""
    task = _task(str(tmp_path))
    connection = MetaKraftwerkHook.get_connection("metakraftwerk_default")

    def kill(conn_id: str) -> Any:
        task.on_kill()
        return connection

    monkeypatch.setattr(MetaKraftwerkHook, "get_connection", staticmethod(kill))
    with pytest.raises(DownloadError, match="the task is being killed"):
        task.execute(context_of(task))
    assert emulator.requests() == []


def test_early_kill_reads_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_METAKRAFTWERK_DEFAULT")
    task = _task("/data")
    task.on_kill()
    assert "hook" not in vars(task)
