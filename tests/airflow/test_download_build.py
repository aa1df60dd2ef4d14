"""DownloadBuildOperator: the files of a finished build in a folder, each fetched once."""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any

import fsspec
import pytest

from mkw_airflow_provider.client.transports.sync import StoppedError
from mkw_airflow_provider.emulator import Emulator
from mkw_airflow_provider.exceptions import (
    BuildCanceledError,
    BuildFailedError,
    ConfigurationError,
    ConnectionFailedError,
    DownloadError,
    IntegrityError,
    NotFoundError,
)
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


def _fetch(destination: Any, **arguments: Any) -> dict[str, Any]:
    task = DownloadBuildOperator(**{"task_id": "fetch", "build_id": BUILD, "destination": destination, **arguments})
    manifest: dict[str, Any] = task.execute(context_of(task))
    return manifest


def _fetched(emulator: Emulator) -> int:
    return len(emulator.requests("GET", FILES))


class TestManifest:
    def test_names_every_file_with_its_size_and_hash(self, emulator: Emulator, tmp_path: Path) -> None:
        manifest = _fetch(str(tmp_path))
        files = manifest.pop("files")
        assert manifest == {"build_id": BUILD, "project_id": 402, "status": "FINISHED"}
        assert [file["pattern"] for file in files] == ["CORE_DV_HLS", "STAGE_LOAD"]
        assert [file["download_id"] for file in files] == [item["id"] for item in emulator.downloads()]
        for file in files:
            content = Path(file["path"]).read_bytes()
            assert set(file) == {"download_id", "pattern", "name", "path", "size", "sha256"}
            assert file["path"] == f"{tmp_path}/{file['name']}"
            assert (file["size"], file["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
            assert zipfile.ZipFile(file["path"]).testzip() is None

    def test_stands_beside_the_files_and_nothing_else_does(self, tmp_path: Path) -> None:
        manifest = _fetch(str(tmp_path / "new" / "folder"))
        folder = tmp_path / "new" / "folder"
        assert json.loads((folder / "manifest.json").read_text()) == manifest
        names = {file["name"] for file in manifest["files"]}
        assert {path.name for path in folder.iterdir()} == names | {"manifest.json"}

    def test_is_json(self, tmp_path: Path) -> None:
        manifest = _fetch(str(tmp_path))
        assert json.loads(json.dumps(manifest)) == manifest

    def test_the_last_line_of_the_log_sums_up(self, tmp_path: Path, log: Log) -> None:
        manifest = _fetch(str(tmp_path))
        size = sum(file["size"] for file in manifest["files"])
        assert log.lines[-1] == f"Build {BUILD}: 2 files, {size} bytes, in {tmp_path}."


class TestPatterns:
    def test_filter(self, emulator: Emulator, tmp_path: Path) -> None:
        manifest = _fetch(str(tmp_path), patterns=["STAGE_LOAD"])
        assert [file["pattern"] for file in manifest["files"]] == ["STAGE_LOAD"]
        assert [item["downloaded"] for item in emulator.downloads()] == [0, 1]

    def test_may_be_the_text_that_a_template_renders_to(self, tmp_path: Path) -> None:
        manifest = _fetch(str(tmp_path), patterns='["STAGE_LOAD"]')
        assert [file["pattern"] for file in manifest["files"]] == ["STAGE_LOAD"]

    def test_of_two_tasks_may_go_into_one_folder(self, emulator: Emulator, tmp_path: Path) -> None:
        """Neither takes from the other what it needs to ask for nothing twice."""
        for _ in range(2):
            both = [_fetch(str(tmp_path), patterns=[pattern]) for pattern in ("STAGE_LOAD", "CORE_DV_HLS")]
        assert [item["downloaded"] for item in emulator.downloads()] == [1, 1]
        stands = json.loads((tmp_path / "manifest.json").read_text())
        assert stands == both[0] | {"files": both[1]["files"] + both[0]["files"]}

    @pytest.mark.parametrize("patterns", [["NO_SUCH"], ["CORE_DV_HLS", "NO_SUCH"]])
    def test_that_the_build_does_not_have_fail_before_anything_is_fetched(
        self, emulator: Emulator, tmp_path: Path, patterns: list[str]
    ) -> None:
        with pytest.raises(DownloadError) as raised:
            _fetch(str(tmp_path), patterns=patterns)
        assert str(raised.value) == (
            f"build {BUILD} has no files of 'NO_SUCH'; it has files of CORE_DV_HLS, STAGE_LOAD"
        )
        assert _fetched(emulator) == 0

    def test_that_are_none_at_all_are_an_error(self, emulator: Emulator, tmp_path: Path) -> None:
        with pytest.raises(DownloadError, match="it has files of CORE_DV_HLS, STAGE_LOAD"):
            _fetch(str(tmp_path), patterns=[])
        assert _fetched(emulator) == 0


class TestBuildsWithoutFiles:
    def test_one_that_goes_on(self, emulator: Emulator, tmp_path: Path) -> None:
        emulator.set(build_seconds=60)
        build_id = emulator.start_build()["id"]
        with pytest.raises(DownloadError, match=f"build {build_id} is BUILDING: it has no files before it is FINISHED"):
            _fetch(str(tmp_path), build_id=build_id)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(("status", "kind"), [("FAILED", BuildFailedError), ("CANCELED", BuildCanceledError)])
    def test_one_that_ended_badly(self, emulator: Emulator, tmp_path: Path, status: str, kind: type[Exception]) -> None:
        emulator.set(build_seconds=60)
        build_id = emulator.start_build()["id"]
        emulator.end_build(build_id, status, "the reason")
        with pytest.raises(kind, match="the reason"):
            _fetch(str(tmp_path), build_id=build_id)

    def test_one_that_made_none(self, emulator: Emulator, tmp_path: Path) -> None:
        body = {"id": BUILD, "status": "FINISHED", "downloads": []}
        emulator.fault("status", status=200, body=body, path=f"/api/v1/builds/{BUILD}")
        emulator.fault("status", status=200, body=[], path="/api/v1/downloads")
        with pytest.raises(DownloadError, match=f"build {BUILD} is FINISHED, but has no downloads"):
            _fetch(str(tmp_path))

    def test_one_that_does_not_exist(self, tmp_path: Path) -> None:
        with pytest.raises(NotFoundError, match="No record found for id '17'"):
            _fetch(str(tmp_path), build_id="17")


class TestNames:
    def test_two_files_with_one_name_both_survive(self, emulator: Emulator, tmp_path: Path) -> None:
        first, second = (item["id"] for item in emulator.downloads())
        emulator.set_download(first, name="results.zip")
        emulator.set_download(second, name="Results.zip")
        manifest = _fetch(str(tmp_path))
        paths = [Path(file["path"]).name for file in manifest["files"]]
        assert paths == ["results.zip", f"Results-{second}.zip"]
        assert [file["name"] for file in manifest["files"]] == ["results.zip", "Results.zip"]
        assert [(tmp_path / name).stat().st_size for name in paths] == [file["size"] for file in manifest["files"]]

    @pytest.mark.parametrize(
        ("name", "stands_as"),
        [
            ("../../etc/passwd", "passwd"),
            ("C:\\temp\\x.zip", "x.zip"),
            ("manifest.json", "manifest-5442.json"),
            ("..", "download-5442"),
        ],
    )
    def test_no_name_leaves_the_folder(self, emulator: Emulator, tmp_path: Path, name: str, stands_as: str) -> None:
        emulator.set_download(5442, name=name, size=10 if stands_as != "x.zip" else None)
        manifest = _fetch(str(tmp_path / "results"), patterns=["CORE_DV_HLS"])
        assert manifest["files"][0]["path"] == f"{tmp_path}/results/{stands_as}"
        assert [path.name for path in tmp_path.iterdir()] == ["results"]


class TestDestinations:
    def test_a_file_url(self, tmp_path: Path) -> None:
        manifest = _fetch(f"file://{tmp_path}/results")
        assert [file["path"] for file in manifest["files"]] == [
            f"file://{tmp_path}/results/{file['name']}" for file in manifest["files"]
        ]
        assert json.loads((tmp_path / "results" / "manifest.json").read_text()) == manifest

    def test_object_storage(self, tmp_path: Path) -> None:
        """A store in memory, attached as Airflow's pages say, stands for all that fsspec knows."""
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

    def test_a_storage_connection_is_handed_to_the_store(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """It may stand in the URL, too; which of the two is used, Airflow's object storage decides."""
        from mkw_airflow_provider.hooks import storage

        monkeypatch.setenv("AIRFLOW_CONN_THE_STORE", '{"conn_type": "file"}')
        folder = storage.folder_of(f"file://{tmp_path}", "the_store")
        assert folder.shown("x") == f"file://{tmp_path}/x"
        assert len(_fetch(f"file://{tmp_path}", storage_conn_id="the_store")["files"]) == 2
        assert len(_fetch(f"file://the_store@{tmp_path}/more")["files"]) == 2

    @pytest.mark.parametrize("destination", ["nosuch://bucket/dwh", "s3:///"])
    def test_a_store_that_cannot_be_used_fails_before_any_request(self, emulator: Emulator, destination: str) -> None:
        with pytest.raises(ConfigurationError, match=r"`destination` '.*' cannot be used"):
            _fetch(destination)
        assert emulator.requests() == []

    def test_a_folder_that_cannot_be_made_is_said(self, emulator: Emulator, tmp_path: Path) -> None:
        (tmp_path / "taken").write_text("a file")
        with pytest.raises(DownloadError, match=f"the destination {tmp_path}/taken/x cannot be made"):
            _fetch(f"{tmp_path}/taken/x")
        assert _fetched(emulator) == 0


class TestRunAgain:
    def test_nothing_is_requested_twice(self, emulator: Emulator, tmp_path: Path, log: Log) -> None:
        """A download may count as the last one and change later builds."""
        manifest = _fetch(str(tmp_path))
        log.clear()
        assert _fetch(str(tmp_path)) == manifest
        assert [item["downloaded"] for item in emulator.downloads()] == [1, 1]
        assert _fetched(emulator) == 2
        assert [line for line in log.lines if "not asked for again" in line] == [
            f"{file['path']} stands already, as it was downloaded: not asked for again." for file in manifest["files"]
        ]

    @pytest.mark.parametrize("damage", [b"", b"x" * 100, None])
    def test_a_file_that_is_damaged_or_gone_is_fetched_again(
        self, emulator: Emulator, tmp_path: Path, damage: bytes | None
    ) -> None:
        manifest = _fetch(str(tmp_path))
        path = Path(manifest["files"][0]["path"])
        path.unlink() if damage is None else path.write_bytes(damage)
        assert _fetch(str(tmp_path)) == manifest
        assert [item["downloaded"] for item in emulator.downloads()] == [2, 1]

    def test_after_a_try_that_broke_off_only_the_rest_is_fetched(
        self, emulator: Emulator, connect: Connect, tmp_path: Path
    ) -> None:
        connect(outage_tolerance=0.2)
        second = emulator.downloads()[1]["id"]
        emulator.fault("reset", path=f"/api/v1/downloads/{second}", times=None)
        with pytest.raises(ConnectionFailedError):
            _fetch(str(tmp_path), max_parallel=1)
        assert not (tmp_path / "manifest.json").exists()
        emulator.clear_faults()
        assert len(_fetch(str(tmp_path))["files"]) == 2
        assert [item["downloaded"] for item in emulator.downloads()] == [1, 1]
        assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []

    def test_another_build_in_the_same_folder_is_fetched_whole(self, emulator: Emulator, tmp_path: Path) -> None:
        _fetch(str(tmp_path))
        other = emulator.start_build(instances=["STG_AIRPLANE"])["id"]
        manifest = _fetch(str(tmp_path), build_id=other)
        assert [file["pattern"] for file in manifest["files"]] == ["STAGE_LOAD"]
        assert [item["downloaded"] for item in emulator.downloads()] == [1, 1, 1]


def test_a_file_that_is_no_zip_under_a_zips_name_leaves_nothing(emulator: Emulator, tmp_path: Path) -> None:
    emulator.set_download(5442, size=50)
    with pytest.raises(IntegrityError, match="is named as a ZIP, but is none that is whole"):
        _fetch(str(tmp_path), patterns=["CORE_DV_HLS"])
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".zip"] == []


def test_killing_it_stops_the_downloads_and_the_next_try_goes_on(emulator: Emulator, tmp_path: Path, log: Log) -> None:
    first, second = (item["id"] for item in emulator.downloads())
    emulator.set_download(second, name="large.bin", size=50_000_000)
    task = DownloadBuildOperator(task_id="fetch", build_id=BUILD, destination=str(tmp_path), max_parallel=1)
    log.once("SHA-256", task.on_kill)
    with pytest.raises(StoppedError):
        task.execute(context_of(task))
    assert "large.bin" not in {path.name for path in tmp_path.iterdir()}
    assert not (tmp_path / "manifest.json").exists()
    assert [file["download_id"] for file in _fetch(str(tmp_path))["files"]] == [first, second]
    assert (tmp_path / "large.bin").stat().st_size == 50_000_000
    assert len(emulator.requests("GET", f"/api/v1/downloads/{first}")) == 1
