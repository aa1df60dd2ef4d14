"""A full run with debug logging leaves no password and no token anywhere."""

from __future__ import annotations

import base64
import json
import secrets
import shutil
import sqlite3
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from dev.stack.airflow import AirflowStack
from dev.stack.emulator import EmulatorProgram

ROOT = Path(__file__).resolve().parents[2]
CHAIN = "metakraftwerk_four_tasks"
ONE_TASK = "metakraftwerk_start_and_wait"
REFUSED = "refused"
# Longer than the other tasks take on a busy machine, so that the triggerer logs something.
BUILD_SECONDS = 20.0

pytestmark = pytest.mark.timeout(600)


@dataclass(frozen=True)
class Aftermath:
    """What the runs left behind, and the secrets that they used."""

    airflow: AirflowStack
    states: dict[str, str]
    server_log: str
    requests: list[dict[str, Any]] = field(repr=False)
    results: Path
    secrets: dict[str, str] = field(repr=False)

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Every file of Airflow, the logs and the database among them, and every file of results."""
        for root in (self.airflow.home, self.results):
            for path in root.rglob("*"):
                if path.is_file():
                    yield str(path.relative_to(root)), path.read_bytes()

    def logs(self) -> Iterator[tuple[str, bytes]]:
        """Every log."""
        return ((name, content) for name, content in self.files() if name.endswith(".log"))

    def rows(self) -> Iterator[tuple[str, bytes]]:
        """Every value of the metadata database, unpacked where it is packed."""
        with sqlite3.connect(f"file:{self.airflow.home / 'airflow.db'}?mode=ro", uri=True) as database:
            tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            for table in tables:
                for row in database.execute(f'SELECT * FROM "{table}"'):
                    for value in row:
                        yield table, _unpacked(value)


@pytest.fixture(scope="module")
def aftermath(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aftermath]:
    """Two successful runs with faults, one with a failed build, and three tasks with a wrong secret."""
    folder = tmp_path_factory.mktemp("secrets")
    shutil.copytree(ROOT / "example_dags", folder / "dags", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(Path(__file__).parent / "dags" / "refused.py", folder / "dags")
    server = EmulatorProgram(folder / "metakraftwerk", build_seconds=BUILD_SECONDS)
    wrong = {name: f"wrong-{name}-{secrets.token_hex(12)}" for name in ("password", "token", "proxy")}
    try:
        server.start()
        environment = {
            **server.connection,
            **_refused_connections(server.control.connection, wrong),
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "DEBUG",
            "METAKRAFTWERK_RESULTS": str(folder / "results"),
        }
        with AirflowStack(
            folder / "airflow", dags=folder / "dags", cache=ROOT / ".demo" / "cache", environment=environment
        ) as airflow:
            states = _run(airflow, server)
            tokens = [token["token"] for token in server.control.tokens()]
            yield Aftermath(
                airflow=airflow,
                states=states,
                server_log=server.log.read_text(),
                requests=server.control.requests(),
                results=folder / "results",
                secrets={
                    "the password": server.control.connection["password"],
                    "the login of the proxy": base64.b64encode(f"somebody:{wrong['proxy']}".encode()).decode(),
                    **{f"the wrong {name}": value for name, value in wrong.items()},
                    **{f"token {number}": token for number, token in enumerate(tokens)},
                    **{f"the signature of token {n}": token.rpartition(".")[2] for n, token in enumerate(tokens)},
                },
            )
    finally:
        server.stop()


def _refused_connections(good: dict[str, Any], wrong: dict[str, str]) -> dict[str, str]:
    """Connections to the same server, each with one wrong secret."""
    impatient = {"outage_tolerance": 1, "connect_timeout": 1}
    proxy = f"http://somebody:{wrong['proxy']}@{good['host']}:9"
    connections = {
        "PASSWORD": {**good, "password": wrong["password"], "extra": impatient},
        "TOKEN": {**good, "password": None, "extra": {**impatient, "token": wrong["token"]}},
        "PROXY": {**good, "extra": {**impatient, "proxy": proxy}},
    }
    return {f"AIRFLOW_CONN_METAKRAFTWERK_WRONG_{name}": json.dumps(each) for name, each in connections.items()}


def _run(airflow: AirflowStack, server: EmulatorProgram) -> dict[str, str]:
    """Run the DAGs and return how each run ended."""
    client, control = airflow.client, server.control
    for dag_id in (CHAIN, ONE_TASK, REFUSED):
        client.wait_for_dag(dag_id)
    control.fault("expired", method="GET", path="/api/v1/builds/*")
    control.fault("status", method="GET", path="/api/v1/builds/*", status=502, skip=1)
    control.fault("reset", method="GET", path="/api/v1/downloads/*")
    control.fault("reset", method="POST", path="/api/v1/build_deployments", work=True)
    control.fault("status", method="POST", path="/authentication", status=503)
    chain, refused = client.trigger(CHAIN), client.trigger(REFUSED)
    states = {"chain": client.wait_for_run(CHAIN, chain), "refused": client.wait_for_run(REFUSED, refused)}
    (airplane,) = control.builds()[-1]["instance_ids"]
    control.set_instance(airplane, outcome="FAILED")
    states["failed build"] = client.wait_for_run(CHAIN, client.trigger(CHAIN))
    control.set_instance(airplane, outcome="FINISHED")
    states["one task"] = client.wait_for_run(ONE_TASK, client.trigger(ONE_TASK))
    return states


def _unpacked(value: object) -> bytes:
    content = value if isinstance(value, bytes) else str(value).encode()
    try:
        return zlib.decompress(content)
    except zlib.error:
        return content


def _found(needle: str, haystack: Iterator[tuple[str, bytes]]) -> list[str]:
    """Return where a text occurs, as it is or encoded as in requests and URLs."""
    raw = needle.encode()
    forms = {raw, quote(needle, safe="").encode(), base64.b64encode(raw), raw.hex().encode()}
    return sorted({name for name, content in haystack if any(form in content for form in forms)})


class TestTheSearch:
    """The search would find a secret: it finds other texts in the same places."""

    def test_runs_ended_as_planned(self, aftermath: Aftermath) -> None:
        assert aftermath.states == {
            "chain": "success",
            "refused": "failed",
            "failed build": "failed",
            "one task": "success",
        }
        assert len(aftermath.secrets) > 10

    def test_search_covers_the_logs(self, aftermath: Aftermath) -> None:
        assert any("task_id=wait_for_build" in name for name in _found("is BUILDING", aftermath.logs()))
        assert any(".log.trigger." in name for name in _found("is FINISHED", aftermath.logs()))
        assert "logs/scheduler.log" in _found("wait_for_build", aftermath.logs())

    def test_search_covers_debug_lines(self, aftermath: Aftermath) -> None:
        assert any("task_id=start_build" in name for name in _found('"level":"debug"', aftermath.logs()))

    def test_search_covers_the_exceptions(self, aftermath: Aftermath) -> None:
        for reason, words in (
            ("password", "Invalid login"),
            ("token", "Not authenticated"),
            ("proxy", "got no response"),
        ):
            log = f"task_id=wrong_{reason}/"
            assert any(log in name for name in _found(words, aftermath.logs())), reason

    def test_search_covers_the_database(self, aftermath: Aftermath) -> None:
        assert {"xcom", "rendered_task_instance_fields", "serialized_dag"} <= set(
            _found("DEMO_PROJECT", aftermath.rows())
        ) | set(_found("sha256", aftermath.rows()))


class TestNothingIsFound:
    def test_not_in_files_and_results(self, aftermath: Aftermath) -> None:
        places = {name: _found(secret, aftermath.files()) for name, secret in aftermath.secrets.items()}
        assert {name: found for name, found in places.items() if found} == {}

    def test_not_in_the_metadata_database(self, aftermath: Aftermath) -> None:
        places = {name: _found(secret, aftermath.rows()) for name, secret in aftermath.secrets.items()}
        assert {name: found for name, found in places.items() if found} == {}

    def test_not_in_the_server_log(self, aftermath: Aftermath) -> None:
        # At its start the server prints the connection with the password, for anyone who wants to use it.
        log = "\n".join(line for line in aftermath.server_log.splitlines() if not line.startswith("AIRFLOW_CONN_"))
        kept = [("log", log.encode()), ("requests", json.dumps(aftermath.requests).encode())]
        places = {name: _found(secret, iter(kept)) for name, secret in aftermath.secrets.items()}
        assert {name: found for name, found in places.items() if found} == {}
        assert "POST /authentication" in log
