"""The hook: every documented request over a real socket, and what a Python callable gets back."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pendulum
import pytest
from airflow import __version__ as airflow_version

from mkw_airflow_provider import __version__
from mkw_airflow_provider.emulator import Emulator
from mkw_airflow_provider.exceptions import (
    BadRequestError,
    BuildCanceledError,
    BuildFailedError,
    BuildStartUncertainError,
    BuildTimeoutError,
    ConfigurationError,
    DeploymentUncertainError,
    ForbiddenError,
    NotFoundError,
)
from mkw_airflow_provider.hooks.metakraftwerk import (
    Build,
    BuildDeployment,
    BuildStatus,
    CreatedBuild,
    Download,
    DownloadedFile,
    MetaKraftwerkHook,
)
from tests.airflow.conftest import AIRPLANE, Connect, Log


@pytest.fixture
def hook(emulator: Emulator, connect: Connect) -> MetaKraftwerkHook:
    emulator.set(build_seconds=0)
    return MetaKraftwerkHook()


@pytest.fixture
def build(emulator: Emulator, hook: MetaKraftwerkHook) -> Build:
    """A finished build of one instance."""
    return hook.get_build(emulator.start_build()["id"])


class TestBuilds:
    def test_create_build_sends_every_field(self, emulator: Emulator, hook: MetaKraftwerkHook) -> None:
        created = hook.create_build(
            project_id=402,
            instances=[AIRPLANE, {"id": 1002}],
            releases={"DWH_GROUP": "R1"},
            description="nightly",
            wait=True,
            restore=True,
        )
        assert isinstance(created, CreatedBuild)
        assert created.warnings == []
        assert created.build.status is BuildStatus.FINISHED
        (post,) = emulator.requests("POST", "/api/v1/builds")
        assert post["body"] == {
            "project_id": 402,
            "instances": [AIRPLANE, {"id": 1002}],
            "releases": {"DWH_GROUP": "R1"},
            "description": "nightly",
            "wait": True,
            "restore": True,
        }

    def test_create_build_omits_missing_arguments(self, emulator: Emulator, hook: MetaKraftwerkHook) -> None:
        hook.create_build(project="DEMO_PROJECT", instances=[AIRPLANE])
        (post,) = emulator.requests("POST", "/api/v1/builds")
        assert post["body"] == {"project": "DEMO_PROJECT", "instances": [AIRPLANE]}

    def test_create_build_uses_the_default_project(
        self, emulator: Emulator, hook: MetaKraftwerkHook, connect: Connect
    ) -> None:
        connect(project="SALES_DWH")
        hook.create_build(instances=[AIRPLANE])
        hook.create_build(project="DEMO_PROJECT", instances=[AIRPLANE])
        hook.create_build(project_id=404, instances=[AIRPLANE])
        assert [build["project"] for build in emulator.builds()] == ["SALES_DWH", "DEMO_PROJECT", "FINANCE_DWH"]

    def test_lost_response_starts_no_second_build(self, emulator: Emulator, hook: MetaKraftwerkHook) -> None:
        emulator.fault("reset", method="POST", path="/api/v1/builds", work=True)
        with pytest.raises(BuildStartUncertainError, match="whether a build was started is unknown"):
            hook.create_build(project="DEMO_PROJECT", instances=[AIRPLANE])
        assert len(emulator.builds()) == 1

    def test_error_has_the_servers_message(self, emulator: Emulator, hook: MetaKraftwerkHook) -> None:
        with pytest.raises(NotFoundError, match="A project with the name 'NO_SUCH' does not exist!") as raised:
            hook.create_build(project="NO_SUCH", instances=[AIRPLANE])
        assert (raised.value.status, raised.value.method, raised.value.path) == (404, "POST", "/api/v1/builds")

    def test_get_build(self, hook: MetaKraftwerkHook, build: Build) -> None:
        assert isinstance(build, Build)
        assert (build.id, build.status, build.project_id, build.progress) == (5139, BuildStatus.FINISHED, 402, 100)
        assert isinstance(build.build_start, pendulum.DateTime)
        assert [download.pattern for download in build.downloads] == ["CORE_DV_HLS"]
        with pytest.raises(NotFoundError, match="No record found for id '1'"):
            hook.get_build(1)

    @pytest.mark.parametrize(
        ("filters", "query"),
        [
            ({}, []),
            ({"project": "DEMO_PROJECT", "user": "demo", "pattern": "CORE_DV_HLS"}, None),
            ({"project_id": 402, "user_id": 1, "pattern_id": 808}, None),
            ({"releases": {"DWH_GROUP": "R1"}}, [["releases", '{"DWH_GROUP":"R1"}']]),
        ],
    )
    def test_find_builds_with_every_filter(
        self, emulator: Emulator, hook: MetaKraftwerkHook, filters: dict[str, Any], query: list[list[str]] | None
    ) -> None:
        mine = hook.create_build(project="DEMO_PROJECT", instances=[AIRPLANE], releases={"DWH_GROUP": "R1"}).build.id
        hook.create_build(project="SALES_DWH", instances=[{"id": 2009}])
        found = hook.find_builds(**filters)
        assert all(isinstance(item, Build) for item in found)
        assert [item.id for item in found] == ([mine] if filters else [mine, mine + 1])
        (request,) = emulator.requests("GET", "/api/v1/builds")
        assert request["query"] == (query if query is not None else [[k, str(v)] for k, v in filters.items()])

    def test_contradictory_filters_send_nothing(self, emulator: Emulator, hook: MetaKraftwerkHook) -> None:
        with pytest.raises(ConfigurationError, match="`user` and `user_id` are mutually exclusive"):
            hook.find_builds(user="demo", user_id=1)
        assert emulator.requests() == []


class TestWaitForBuild:
    def test_returns_the_finished_build(self, emulator: Emulator, hook: MetaKraftwerkHook, log: Log) -> None:
        emulator.set(build_seconds=60)
        build_id = emulator.start_build()["id"]
        log.once(f"Build {build_id} is BUILDING", lambda: emulator.end_build(build_id, "FINISHED"))
        build = hook.wait_for_build(build_id, poll_interval=0.05)
        assert (build.id, build.status) == (build_id, BuildStatus.FINISHED)
        assert len(emulator.requests("GET", f"/api/v1/builds/{build_id}")) == 2

    @pytest.mark.parametrize(("status", "kind"), [("FAILED", BuildFailedError), ("CANCELED", BuildCanceledError)])
    def test_raises_for_another_end(
        self, emulator: Emulator, hook: MetaKraftwerkHook, status: str, kind: type[BuildFailedError]
    ) -> None:
        emulator.set(build_seconds=60)
        build_id = emulator.start_build()["id"]
        emulator.end_build(build_id, status, "the disk is full")
        with pytest.raises(kind, match="the disk is full") as raised:
            hook.wait_for_build(build_id)
        assert raised.value.build.id == build_id

    def test_times_out(self, emulator: Emulator, hook: MetaKraftwerkHook) -> None:
        emulator.set(build_seconds=60)
        build_id = emulator.start_build()["id"]
        with pytest.raises(BuildTimeoutError, match=f"Build {build_id} did not end within .*still running"):
            hook.wait_for_build(build_id, poll_interval=0.05, timeout=0.2)


class TestDownloads:
    def test_find_downloads_with_every_filter(self, emulator: Emulator, hook: MetaKraftwerkHook, build: Build) -> None:
        other = emulator.start_build(instances=["STG_AIRPORT"])["id"]
        assert [item.build_id for item in hook.find_downloads()] == [build.id, other]
        for filters in ({"build_id": build.id}, {"pattern": "CORE_DV_HLS"}, {"pattern_id": 808}):
            (found,) = hook.find_downloads(**filters)
            assert isinstance(found, Download)
            assert (found.build_id, found.pattern_id, found.downloaded) == (build.id, 808, 0)

    def test_download_to_a_folder_uses_the_api_name(
        self, emulator: Emulator, hook: MetaKraftwerkHook, build: Build, tmp_path: Path
    ) -> None:
        (wanted,) = build.downloads
        file = hook.download(wanted.id, f"{tmp_path}/")
        content = (tmp_path / str(wanted.name)).read_bytes()
        assert file == DownloadedFile(
            str(tmp_path / str(wanted.name)), len(content), hashlib.sha256(content).hexdigest()
        )
        assert [item["downloaded"] for item in emulator.downloads()] == [1]

    def test_name_is_read_at_most_once(
        self, emulator: Emulator, hook: MetaKraftwerkHook, build: Build, tmp_path: Path
    ) -> None:
        """The list of all downloads of an account may be long; a build that was read names its own."""
        emulator.start_build(instances=["AIRPLANE", "STG_AIRPORT"])
        first, *others = [item["id"] for item in emulator.downloads()]
        assert Path(hook.download(first, f"{tmp_path}/").path).name == build.downloads[0].name
        assert emulator.requests("GET", "/api/v1/downloads") == []
        names = [Path(hook.download(str(number), tmp_path).path).name for number in others]
        assert names == [item["name"] for item in emulator.downloads()[1:]]
        assert len(emulator.requests("GET", "/api/v1/downloads")) == 1

    @pytest.mark.parametrize("destination", ["results/build.zip", "new/folder/build.zip"])
    def test_download_to_a_file(self, hook: MetaKraftwerkHook, build: Build, tmp_path: Path, destination: str) -> None:
        file = hook.download(build.downloads[0].id, tmp_path / destination)
        assert Path(file.path) == tmp_path / destination
        assert (tmp_path / destination).stat().st_size == file.size

    def test_unknown_download_leaves_no_file(self, hook: MetaKraftwerkHook, tmp_path: Path) -> None:
        with pytest.raises(NotFoundError):
            hook.download(1, tmp_path / "x.zip")
        assert list(tmp_path.iterdir()) == []

    def test_invalid_destination_sends_nothing(self, emulator: Emulator, hook: MetaKraftwerkHook, build: Build) -> None:
        emulator.clear_requests()
        with pytest.raises(ConfigurationError, match="`destination` 'nosuch://bucket' cannot be used"):
            hook.download(build.downloads[0].id, "nosuch://bucket/file.zip")
        for destination in ("", "build.zip", Path("folder/build.zip")):
            with pytest.raises(ConfigurationError, match="`destination`"):
                hook.download(build.downloads[0].id, destination)
        assert emulator.requests() == []


class TestBuildDeployments:
    @pytest.mark.parametrize(
        "arguments",
        [
            {"pattern": "CORE_DV_HLS", "deployment": "DEPLOY_TO_DEV"},
            {"pattern_id": 808, "deployment_id": 2, "agent": "dev_md_agent"},
            {"pattern": "CORE_DV_HLS", "deployment_id": 3, "agent_id": 1},
            {"pattern_id": 808, "deployment": "DEPLOY_TO_DEV", "agent_group": "DEV_AGENTS"},
            {"pattern_id": 808, "deployment": "DEPLOY_TO_DEV", "agent_group_id": 1},
        ],
    )
    def test_create_build_deployment_by_names_and_ids(
        self, emulator: Emulator, hook: MetaKraftwerkHook, build: Build, arguments: dict[str, Any]
    ) -> None:
        made = hook.create_build_deployment(build_id=build.id, **arguments)
        assert isinstance(made, BuildDeployment)
        assert (made.build_id, made.pattern_id) == (build.id, 808)
        (post,) = emulator.requests("POST", "/api/v1/build_deployments")
        assert post["body"] == {"build_id": build.id, **arguments}
        assert hook.get_build_deployment(made.id) == made

    def test_find_build_deployments_with_every_filter(self, hook: MetaKraftwerkHook, build: Build) -> None:
        first = hook.create_build_deployment(build_id=build.id, pattern_id=808, deployment="DEPLOY_TO_DEV")
        second = hook.create_build_deployment(build_id=build.id, pattern_id=808, deployment="DEPLOY_TO_TEST")
        assert hook.find_build_deployments() == [first, second]
        assert hook.find_build_deployments(build_id=build.id, pattern="CORE_DV_HLS") == [first, second]
        assert hook.find_build_deployments(pattern_id=808, deployment="DEPLOY_TO_TEST") == [second]
        assert hook.find_build_deployments(deployment_id=first.deployment_id) == [first]

    def test_lost_response_makes_no_second_deployment(
        self, emulator: Emulator, hook: MetaKraftwerkHook, build: Build
    ) -> None:
        emulator.fault("close", method="POST", path="/api/v1/build_deployments", work=True)
        with pytest.raises(DeploymentUncertainError, match="List the build's deployments before you deploy again"):
            hook.create_build_deployment(build_id=build.id, pattern_id=808, deployment_id=1)
        assert len(emulator.build_deployments()) == 1

    def test_contradictory_arguments_send_nothing(self, emulator: Emulator, hook: MetaKraftwerkHook) -> None:
        with pytest.raises(ConfigurationError, match="exactly one of `pattern` or `pattern_id` is needed"):
            hook.create_build_deployment(build_id=1, deployment_id=1)
        with pytest.raises(ConfigurationError, match="`agent` and `agent_group_id` are mutually exclusive"):
            hook.create_build_deployment(build_id=1, pattern_id=8, deployment_id=1, agent="a", agent_group_id=2)
        assert emulator.requests() == []

    def test_error_has_the_servers_message(self, hook: MetaKraftwerkHook, build: Build) -> None:
        with pytest.raises(BadRequestError, match="The build has no results for the pattern 'STAGE_LOAD'!"):
            hook.create_build_deployment(build_id=build.id, pattern="STAGE_LOAD", deployment="DEPLOY_TO_DEV")


class TestConnection:
    def test_all_connection_faults_are_reported(self, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(
            "AIRFLOW_CONN_METAKRAFTWERK_DEFAULT",
            '{"conn_type": "metakraftwerk", "host": "example.com", "schema": "http", "password": "keep-me-out",'
            ' "extra": {"read_timeout": "soon", "verify": "/no/such/bundle", "proxy": "ftp://p"}}',
        )
        with pytest.raises(ConfigurationError) as raised:
            MetaKraftwerkHook().find_builds()
        message = str(raised.value)
        assert message.startswith("connection 'metakraftwerk_default' cannot be used: ")
        for fault in ("http would send", "read_timeout", "/no/such/bundle", "proxy", "login, the e-mail address,"):
            assert fault in message
        assert message.count(";") == 4
        assert "keep-me-out" not in message
        assert emulator.requests() == []

    def test_other_connection_is_used_by_its_id(self, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
        viewer = json.dumps(emulator.connection_for("viewer@example.com"))
        monkeypatch.setenv("AIRFLOW_CONN_THE_VIEWER", viewer)
        with pytest.raises(ForbiddenError, match="You don't have permissions to start builds in this project!"):
            MetaKraftwerkHook("the_viewer").create_build(project="DEMO_PROJECT", instances=[AIRPLANE])

    def test_given_token_needs_no_login(self, emulator: Emulator, connect: Connect) -> None:
        MetaKraftwerkHook().find_builds()
        (token,) = [item["token"] for item in emulator.tokens()]
        emulator.clear_requests()
        connect({"login": None, "password": None}, token=token)
        MetaKraftwerkHook().find_builds()
        assert [request["path"] for request in emulator.requests()] == ["/api/v1/builds"]

    def test_requests_name_this_package_and_airflow(self, emulator: Emulator, hook: MetaKraftwerkHook) -> None:
        hook.find_builds()
        agents = {request["headers"]["user-agent"] for request in emulator.requests()}
        assert agents == {f"mkw-airflow-provider/{__version__} apache-airflow/{airflow_version}"}

    def test_hooks_of_one_process_log_in_once(self, emulator: Emulator, connect: Connect) -> None:
        for _ in range(3):
            MetaKraftwerkHook().find_builds()
        assert len(emulator.requests("POST", "/authentication")) == 1
