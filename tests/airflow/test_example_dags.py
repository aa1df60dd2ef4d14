"""The example DAGs: short, read without a warning, and each runs against the emulator without changes."""

from __future__ import annotations

import ast
import fcntl
import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow import settings

from mkw_airflow_provider.emulator import Emulator
from mkw_airflow_provider.version_compat import AIRFLOW_VERSION
from tests.airflow.conftest import Log
from tests.kit.tasks import of_this_version

DagBag = of_this_version("airflow.dag_processing.dagbag.DagBag", "airflow.models.dagbag.DagBag")
SERIALIZED = "airflow.serialization.serialized_objects"
Serialized = of_this_version(f"{SERIALIZED}.DagSerialization", f"{SERIALIZED}.SerializedDAG")
FILES = sorted((Path(__file__).parents[2] / "example_dags").glob("*.py"))
#: Started by asset events, which `dag.test()` does not have; they run in tests/e2e.
OF_EVENTS = {"deploy_persons_build", "load_on_asset"}
#: Examples that need a newer Airflow than the oldest supported one.
NEEDS = {"promotion": (3, 1), **dict.fromkeys(OF_EVENTS, (3, 0))}
EXAMPLES = [path.stem for path in FILES if NEEDS.get(path.stem, (2, 11)) <= AIRFLOW_VERSION]
MAX_LINES = 20
BUILD = 5139
HLS, SAT = 808, 809


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the examples put their files."""
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="session")
def dags(results: Path, repository: Path) -> Any:
    """The examples as Airflow reads them from its DAGs folder."""
    folder = Path(os.environ["AIRFLOW_HOME"]) / "dags"
    folder.mkdir()
    for name in EXAMPLES:
        shutil.copy(repository / "example_dags" / f"{name}.py", folder)
    os.environ["METAKRAFTWERK_RESULTS"] = str(results)
    return DagBag(str(folder))


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> None:
    """A database for this process's Airflow: made once for all processes of the test run, then copied."""
    shared = tmp_path_factory.getbasetemp() if worker_id == "master" else tmp_path_factory.getbasetemp().parent
    home = shared / "airflow-database"
    with (shared / "airflow-database.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not home.exists():
            making = shared / "airflow-database-in-the-making"
            environment = {**os.environ, "AIRFLOW_HOME": str(making)}
            subprocess.run(
                [sys.executable, "-m", "airflow", "db", "migrate"], env=environment, check=True, capture_output=True
            )
            making.rename(home)
    # Other tests of this process may have had a database in its place, and a connection still knows that one's tables.
    settings.engine.dispose()
    shutil.copy(home / "airflow.db", Path(os.environ["AIRFLOW_HOME"]) / "airflow.db")


@pytest.fixture
def run(dags: Any, database: None, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Run an example to its end and return the states of its tasks, by task and map index."""
    from mkw_airflow_provider.client.flows import polling
    from mkw_airflow_provider.triggers import build, watch

    monkeypatch.setattr(build, "EARLIEST_EVENT", 0.0)
    for module, name in ((polling, "FLOOR"), (watch, "FIRST_POLL")):
        monkeypatch.setattr(module, name, 0.3)

    def run_to_its_end(
        name: str, conf: dict[str, Any] | None = None, *, ends: str = "success", skipped: int = 0, approve: bool = False
    ) -> dict[tuple[str, int], str]:
        emulator.clear_requests()
        approvals = {"mark_success_pattern": r".*approve_\w+"} if approve else {}
        dag = dags.dags[f"metakraftwerk_{name}"]
        if AIRFLOW_VERSION == (3, 0):
            _activate_outlets(dag)
        dag_run = dag.test(run_conf=conf, **approvals)
        states = {(item.task_id, item.map_index): str(item.state) for item in dag_run.get_task_instances()}
        assert str(dag_run.state) == ends, states
        assert list(states.values()).count("skipped") == skipped
        assert set(states.values()) <= {ends, "skipped"}
        return states

    # Airflow's own handler holds on to the last task, and so to its connections.
    handler = signal.getsignal(signal.SIGTERM)
    yield run_to_its_end
    signal.signal(signal.SIGTERM, handler)


def _activate_outlets(dag: Any) -> None:
    """Activate a DAG's assets as the scheduler does: `dag.test` of 3.0 fails tasks whose assets are not active."""
    from airflow.models.asset import AssetActive, AssetModel
    from airflow.utils.session import create_session

    with create_session() as session:
        for asset in {outlet.uri: outlet for task in dag.tasks for outlet in task.outlets}.values():
            session.merge(AssetModel(name=asset.name, uri=asset.uri, group=asset.group))
            session.flush()
            session.merge(AssetActive(name=asset.name, uri=asset.uri))


def _requests(emulator: Emulator) -> list[str]:
    """What the server received; consecutive polls count as one."""
    requests = [f"{request['method']} {request['path']}" for request in emulator.requests()]
    return [text for text, before in zip(requests, [None, *requests], strict=False) if text != before]


def _count(emulator: Emulator, method: str, path: str) -> int:
    return len(emulator.requests(method, path))


def _lines_of_code(source: str) -> int:
    """Count the lines of a module without imports, docstrings, comments and empty lines."""
    tree = ast.parse(source)
    left_out: set[int] = set()
    for node in ast.walk(tree):
        documented = isinstance(node, (ast.Module, ast.FunctionDef)) and ast.get_docstring(node) is not None
        for part in [node] if isinstance(node, (ast.Import, ast.ImportFrom)) else node.body[:1] if documented else []:
            left_out |= set(range(part.lineno, part.end_lineno + 1))
    lines = enumerate(source.splitlines(), start=1)
    return sum(bool(line.strip()) and line.strip()[0] != "#" and number not in left_out for number, line in lines)


class TestReading:
    @pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
    def test_example_is_short(self, path: Path) -> None:
        assert _lines_of_code(path.read_text()) <= MAX_LINES

    def test_every_file_is_parsed_without_an_error(self, dags: Any) -> None:
        assert dags.import_errors == {}
        assert len(dags.dags) == len(EXAMPLES)

    @pytest.mark.parametrize("name", EXAMPLES)
    def test_serialization_is_stable(self, dags: Any, name: str) -> None:
        """The scheduler sees a DAG only as it is in the database; what differs makes a new version of the DAG."""
        dag = dags.dags[f"metakraftwerk_{name}"]
        kept = json.dumps(Serialized.to_dict(dag))
        assert json.dumps(Serialized.to_dict(dag)) == kept
        assert sorted(task["__var"]["task_id"] for task in json.loads(kept)["dag"]["tasks"]) == sorted(dag.task_ids)

    def test_every_file_is_parsed_without_a_warning(self, repository: Path, tmp_path: Path) -> None:
        """And quickly: reading a DAG file must not load what only its tasks need."""
        program = (
            "import runpy, sys, warnings\n"
            # Airflow's own warnings are not about these files.
            "from airflow.providers.common.compat.sdk import DAG, Asset, BaseOperator, BaseSensorOperator\n"
            "from airflow.providers.common.compat.sdk import Param, PokeReturnValue, task, task_group\n"
            # The first asset of a process loads Airflow's list of providers.
            "Asset('metakraftwerk://host/project/pattern')\n"
            "loaded = {'requests', 'aiohttp'} & set(sys.modules)\n"
            "warnings.simplefilter('error')\n"
            "for path in sys.argv[1:]:\n"
            "    runpy.run_path(path)\n"
            "    print(path, sorted({'requests', 'aiohttp'} & set(sys.modules) - loaded))\n"
            "from mkw_airflow_provider.operators.build import StartBuildOperator\n"
            "from mkw_airflow_provider.sensors.build import BuildSensor\n"
            "start = StartBuildOperator(task_id='a', project='p', instances=[{'id': 1}])\n"
            "print(start.deferrable, BuildSensor(task_id='b', build_id=1).deferrable)\n"
        )
        paths = [str(repository / "example_dags" / f"{name}.py") for name in EXAMPLES]
        environment = {**os.environ, "AIRFLOW_HOME": str(tmp_path), "AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE": "True"}
        done = subprocess.run(
            [sys.executable, "-c", program, *paths], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[-len(EXAMPLES) - 1 :] == [*(f"{path} []" for path in paths), "True True"]

    def test_every_dag_has_its_own_id_and_text(self, dags: Any) -> None:
        ids = sorted(dags.dags)
        assert len(set(ids)) == len(EXAMPLES)
        assert all(re.fullmatch("metakraftwerk_[a-z_]+", dag_id) for dag_id in ids)
        texts = [dag.doc_md for dag in dags.dags.values()]
        assert all(texts)
        assert len(set(texts)) == len(texts)

    def test_every_example_is_run_below(self, dags: Any) -> None:
        tested = {name.removeprefix("test_") for name in vars(TestRunning) if name.startswith("test_")}
        tested -= {name for name, version in NEEDS.items() if version > AIRFLOW_VERSION}
        assert {dag_id.removeprefix("metakraftwerk_") for dag_id in dags.dags} - OF_EVENTS == tested


# On Airflow 3.1 and 3.2 a chain takes minutes where other programs use the processors, too.
@pytest.mark.timeout(900)
class TestRunning:
    def test_nightly(self, run: Any, emulator: Emulator) -> None:
        """The second night has nothing to deploy; after a change, the third has."""
        emulator.set(build_seconds=0)
        tasks = {task for task, _ in run("nightly")}
        deploy = "warehouse.deploy_all_DEPLOY_TO_DEV"
        assert tasks == {
            *(f"warehouse.{name}" for name in ("start", "wait", "download", "patterns_all_DEPLOY_TO_DEV")),
            deploy,
        }
        (build,) = emulator.builds()
        assert len(build["instance_names"]) == 9
        assert not {"BROKEN_VIEW", "OLD_ROUTE"} & set(build["instance_names"])
        assert sorted(item["pattern_id"] for item in emulator.build_deployments()) == [HLS, SAT]
        assert {item["agent_group_id"] for item in emulator.build_deployments()} == {1}
        second = run("nightly", skipped=2)
        assert [second[deploy, index] for index in (0, 1)] == ["skipped", "skipped"]
        emulator.set_instance(1006, changed=True)
        third = run("nightly", skipped=1)
        assert [third[deploy, index] for index in (0, 1)] == ["success", "skipped"]

    def test_changed_patterns(self, run: Any, emulator: Emulator) -> None:
        emulator.set(build_seconds=0)
        run("changed_patterns")
        assert run("changed_patterns", skipped=2)
        emulator.set_instance(1006, changed=True)
        run("changed_patterns", skipped=1)
        assert sorted(item["pattern_id"] for item in emulator.build_deployments()) == [HLS, HLS, SAT]

    @pytest.mark.skipif(NEEDS["promotion"] > AIRFLOW_VERSION, reason="Airflow has no approvals before 3.1")
    def test_promotion(self, run: Any, emulator: Emulator) -> None:
        emulator.set(build_seconds=0)
        states = run("promotion", approve=True)
        assert ("release.approve_DEPLOY_TO_PROD", -1) in states
        (build,) = emulator.builds()
        deployed = emulator.build_deployments()
        assert [item["build_id"] for item in deployed] == [build["id"]] * 3
        # DEPLOY_TO_DEV, DEPLOY_TO_TEST, DEPLOY_TO_PROD.
        assert [item["deployment_id"] for item in deployed] == [1, 2, 3]

    def test_alert(self, run: Any, dags: Any, emulator: Emulator) -> None:
        emulator.set(build_seconds=0)
        callback = dags.dags["metakraftwerk_alert"].default_args["on_failure_callback"]
        alerts: list[str] = []

        def collect(record: logging.LogRecord) -> bool:
            alerts.append(record.getMessage())
            return True

        logging.getLogger(callback.__module__).addFilter(collect)
        run("alert", ends="failed")
        (alert,) = alerts
        assert alert.startswith(f"ALERT: build failed ({emulator.url}): ")
        # From 3.0 to 3.2, `dag.test` gives callbacks no exception; a worker does.
        if not (3, 0) <= AIRFLOW_VERSION < (3, 3):
            assert f"build {BUILD} FAILED" in alert

    def test_four_tasks(self, run: Any, emulator: Emulator, results: Path, log: Log) -> None:
        emulator.set(build_seconds=3600)
        log.once(f"Waiting for build {BUILD} in the triggerer", lambda: emulator.end_build(BUILD, "FINISHED"))
        before = set(results.glob("manual__*/manifest.json"))
        states = run("four_tasks")
        assert [task for task, _ in sorted(states)] == [
            "deploy_build",
            "download_build",
            "start_build",
            "wait_for_build",
        ]
        (download,) = emulator.downloads()
        assert _requests(emulator) == [
            "POST /authentication",
            "POST /api/v1/builds",
            f"GET /api/v1/builds/{BUILD}",
            f"GET /api/v1/downloads/{download['id']}",
            # The number of changed instances.
            "POST /api/v1/metadata",
            "GET /api/v1/build_deployments",
            "POST /api/v1/build_deployments",
        ]
        assert _count(emulator, "POST", "*") == 4
        # One poll of the sensor, at least one of the trigger, one read of the download.
        assert _count(emulator, "GET", f"/api/v1/builds/{BUILD}") >= 3
        assert download["downloaded"] == 1
        (deployment,) = emulator.build_deployments()
        assert deployment["build_id"] == BUILD
        (build,) = emulator.builds()
        assert re.match(r"\[airflow:.*\] Started by Airflow: DAG metakraftwerk_four_tasks", build["description"])
        (manifest,) = set(results.glob("manual__*/manifest.json")) - before
        assert json.loads(manifest.read_text())["build_id"] == BUILD
        assert (manifest.parent / download["name"]).stat().st_size == json.loads(manifest.read_text())["files"][0][
            "size"
        ]

    def test_several_projects(self, run: Any, emulator: Emulator, results: Path) -> None:
        emulator.set(build_seconds=2)
        states = run("several_projects")
        assert {index for _, index in states} == {0, 1, 2}
        assert sorted(build["project"] for build in emulator.builds()) == ["DEMO_PROJECT", "FINANCE_DWH", "SALES_DWH"]
        assert _count(emulator, "POST", "/authentication") == 1
        assert _count(emulator, "POST", "/api/v1/builds") == 3
        assert _count(emulator, "POST", "/api/v1/build_deployments") == 3
        assert len({item["build_id"] for item in emulator.build_deployments()}) == 3
        assert [item["downloaded"] for item in emulator.downloads()] == [1, 1, 1]
        assert sorted(path.parent.name for path in results.glob("manual__*/*/manifest.json")) == ["0", "1", "2"]

    def test_start_and_wait(self, run: Any, emulator: Emulator) -> None:
        emulator.set(build_seconds=2)
        assert run("start_and_wait") == {("build", -1): "success"}
        assert _requests(emulator) == ["POST /authentication", "POST /api/v1/builds", f"GET /api/v1/builds/{BUILD}"]
        assert emulator.builds()[0]["status"] == "FINISHED"

    def test_wait_for_a_persons_build(self, run: Any, emulator: Emulator, results: Path) -> None:
        emulator.set(build_seconds=0)
        build_id = emulator.start_build()["id"]
        run("wait_for_a_persons_build", {"build_id": build_id})
        assert _count(emulator, "POST", "/api/v1/build*") == 0
        assert json.loads((results / f"build-{build_id}" / "manifest.json").read_text())["build_id"] == build_id

    def test_wait_without_triggerer(self, run: Any, emulator: Emulator) -> None:
        emulator.set(build_seconds=0)
        run("wait_without_triggerer")
        assert _requests(emulator) == ["POST /authentication", "POST /api/v1/builds", f"GET /api/v1/builds/{BUILD}"]

    def test_deploy_newest_build(self, run: Any, emulator: Emulator) -> None:
        emulator.set(build_seconds=0)
        emulator.start_build()
        newest = emulator.start_build()["id"]
        run("deploy_newest_build")
        assert [(item["build_id"], item["agent_id"]) for item in emulator.build_deployments()] == [(newest, 1)]

    def test_from_python(self, run: Any, emulator: Emulator, results: Path) -> None:
        emulator.set(build_seconds=0)
        run("from_python")
        (download,) = emulator.downloads()
        assert _count(emulator, "POST", "/api/v1/builds") == 1
        assert download["downloaded"] == 1
        assert (results / f"build-{BUILD}" / download["name"]).is_file()
