"""A real triggerer outlives whatever a server says about a build: on SQLite, and on PostgreSQL."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from airflow import __version__ as airflow_version

from tests.kit.postgres import needs_postgres, postgres

pytestmark = [
    pytest.mark.skipif(not airflow_version.startswith("3.3"), reason="the tasks are written into the tables of 3.3"),
    pytest.mark.timeout(420),
]
ROOT = Path(__file__).resolve().parents[2]
SECONDS = 240.0


def _deep(levels: int) -> Any:
    return {"x": _deep(levels - 1)} if levels else 1


#: What the server says about a build that has ended, by the build's id.
ODD: dict[int, dict[str, Any]] = {
    101: {"message": "cut inside an emoji \ud83d"},
    102: {"mts": 2**64},
    103: {"message": "a\0b", "description": "x\0"},
    104: {"mts": float("nan"), "progress": float("inf")},
    105: {"message": "x" * 900_000},
    106: {"extra": _deep(400), "\ud83d": "\0"},
    107: {"status": "FAILED", "message": "\ud83d\0"},
    108: {"status": "\ud83d", "build_end": "2026-01-01T00:00:00Z"},
    109: {"status": None, "name": "\ud83d"},
}
#: Ends some seconds after the others have been answered.
ORDINARY = 200


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, file: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answered: dict[int, float] = {}
        self.file = file


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *_: Any) -> None:
        """Print nothing."""

    def do_GET(self) -> None:
        number = int(self.path.rpartition("/")[2])
        build = {"id": number, "status": "FINISHED", "downloads": [], **ODD.get(number, {})}
        if number == ORDINARY:
            answered = self.server.answered.values()
            if len(answered) < len(ODD) or time.monotonic() < max(answered) + 8:
                build["status"] = "BUILDING"
            else:
                self.server.file.touch()
        else:
            self.server.answered.setdefault(number, time.monotonic())
        body = json.dumps(build).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=needs_postgres)])
def database(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """The environment that names the database; none for SQLite."""
    with ExitStack() as stack:
        environment = {}
        if request.param == "postgres":
            pytest.importorskip("psycopg2")
            pytest.importorskip("asyncpg")
            address = stack.enter_context(postgres())
            environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = f"postgresql+psycopg2://{address}"
        yield environment


def test_odd_values_do_not_end_the_triggerer(database: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "file"
    server = _Server(file)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    tasks: dict[str, Any] = {
        f"build_{number}": [
            "mkw_airflow_provider.triggers.build.BuildTrigger",
            {"metakraftwerk_conn_id": "odd", "build_id": number, "poll_interval": 2.0, "deadline": None},
        ]
        for number in (*ODD, ORDINARY)
    }
    unrelated = {"filepath": str(file), "poke_interval": 1.0}
    tasks["unrelated"] = ["airflow.providers.standard.triggers.file.FileTrigger", unrelated]
    connection = {
        "conn_type": "metakraftwerk",
        "host": f"http://127.0.0.1:{server.server_port}",
        "extra": {"token": "a-token", "outage_tolerance": 2, "allow_http": True},
    }
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")},
        **database,
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
        "AIRFLOW_CONN_ODD": json.dumps(connection),
    }
    try:
        program = [sys.executable, str(ROOT / "tests/kit/deferred_tasks.py"), str(SECONDS), json.dumps(tasks)]
        printed = subprocess.run(program, env=environment, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    finally:
        server.shutdown()
        server.server_close()
    result = json.loads(printed.splitlines()[-1])
    log = (tmp_path / "airflow/triggerer.log").read_text()[-3000:]
    assert result["triggerer runs"], log
    assert {name: task["state"] for name, task in result["tasks"].items()} == dict.fromkeys(tasks, "scheduled"), log
    assert {name: task["next_method"] for name, task in result["tasks"].items()} == dict.fromkeys(
        tasks, "execute_complete"
    )
    events = {name: task["next_kwargs"]["event"] for name, task in result["tasks"].items() if name != "unrelated"}
    ended = {name for name, event in events.items() if event["outcome"] == "ended"}
    assert ended == {f"build_{number}" for number in (*range(101, 108), ORDINARY)}
    assert events["build_101"]["build"]["message"] == "cut inside an emoji \ufffd"
    assert events["build_102"]["build"]["mts"] == str(2**64)
