"""No password and no token is in a log, an XCom, a trigger's arguments, an event or an exception."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mkw_airflow_provider.emulator import Emulator
from tests.airflow.conftest import Connect

#: A night with everything logged that can be: what a task does in its own process, and what goes wrong in it.
NIGHT = """
from __future__ import annotations

import json, logging, sys, traceback

from airflow.providers.common.compat.sdk import TaskDeferred

from mkw_airflow_provider.emulator.control import Control
from mkw_airflow_provider.hooks.metakraftwerk import MetaKraftwerkHook
from mkw_airflow_provider.operators.build import DownloadBuildOperator, StartBuildOperator
from mkw_airflow_provider.operators.deployment import BuildDeploymentOperator
from mkw_airflow_provider.sensors.build import BuildSensor
from mkw_airflow_provider.triggers import build as triggers
from tests.kit.tasks import StateStore, context_of, run_task, through_database

logging.basicConfig(level=logging.DEBUG, stream=sys.stdout, force=True)
for name in ("urllib3", "aiohttp", "asyncio", "mkw_airflow_provider", "airflow"):
    logging.getLogger(name).setLevel(logging.DEBUG)
triggers.EARLIEST_EVENT = 0.0

def show(make):
    store = StateStore()
    context = context_of(make(), store)
    ending = run_task(make, context)
    print("RESULT", ending.result, "XCOM", json.dumps(context["ti"].xcom), "STORE", store.content)
    if ending.error is not None:
        traceback.print_exception(ending.error, limit=None, file=sys.stdout)
        print("ERROR", repr(ending.error), ending.error.args)

instances = [{"pattern": "CORE_DV_HLS", "folder": "/BUSINESS_VAULT", "name": "AIRPLANE"}]
start = dict(task_id="a", project="DEMO_PROJECT", instances=instances, poll_interval=0.1)
show(lambda: StartBuildOperator(**start, wait_for_completion=True))
show(lambda: StartBuildOperator(**start, wait_for_completion=True, deferrable=True))
show(lambda: BuildSensor(task_id="b", build_id=5139, deferrable=True))
show(lambda: DownloadBuildOperator(task_id="c", build_id=5139, destination=sys.argv[1]))
names = dict(pattern="CORE_DV_HLS", deployment="DEPLOY_TO_DEV")
show(lambda: BuildDeploymentOperator(task_id="d", build_id=5139, **names))
show(lambda: BuildSensor(task_id="e", build_id=17))
show(lambda: StartBuildOperator(**start, wait_for_completion=True, metakraftwerk_conn_id="wrong_password"))
show(lambda: BuildSensor(task_id="f", build_id=5139, metakraftwerk_conn_id="with_faults"))
show(lambda: BuildSensor(task_id="g", build_id=5139, metakraftwerk_conn_id="with_a_token"))
hook = MetaKraftwerkHook("behind_a_proxy")
print("PROXY", hook.test_connection(), repr(hook.settings), repr(vars(hook)))
print("HOOK", repr(vars(MetaKraftwerkHook())), MetaKraftwerkHook().test_connection())
hook = MetaKraftwerkHook()
Control(sys.argv[2]).set(build_seconds=60)
build = hook.create_build(project="DEMO_PROJECT", instances=instances).build
print("STATE", hook.settings, hook.session, hook.get_conn(), vars(hook))
try:
    BuildSensor(task_id="h", build_id=build.id, deferrable=True).execute({})
except TaskDeferred as deferred:
    print("TRIGGER", deferred.trigger.serialize(), vars(through_database(deferred.trigger)), deferred.kwargs)
"""


@pytest.fixture
def night(emulator: Emulator, connect: Connect, repository: Path, tmp_path: Path) -> str:
    """All that a night writes, on standard output, standard error and into files."""
    emulator.set(build_seconds=0.3)
    # The process's own Airflow logs into files below its home, which are part of what is searched.
    home = tmp_path / "home"
    own = {**emulator.connection, "extra": {"read_timeout": 5}}
    connections = {
        "wrong_password": {**own, "login": "viewer@example.com", "password": "wr0ng-passw0rd"},
        "with_faults": {**own, "password": "f4ulty-passw0rd", "extra": {"token": 17, "read_timeout": "soon"}},
        "with_a_token": {**own, "extra": {"token": "r3ady-made-token"}},
        "behind_a_proxy": {**own, "extra": {"proxy": "http://me:pr0xy-passw0rd@127.0.0.1:1"}},
    }
    done = subprocess.run(
        [sys.executable, "-c", NIGHT, str(tmp_path / "results"), emulator.url],
        capture_output=True,
        text=True,
        check=False,
        cwd=repository,
        env={
            **os.environ,
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "DEBUG",
            "PYTHONPATH": str(repository),
            **{f"AIRFLOW_CONN_{name.upper()}": json.dumps(value) for name, value in connections.items()},
        },
    )
    assert done.returncode == 0, done.stderr
    files = [path for path in (*home.rglob("*"), *(tmp_path / "results").rglob("*.json")) if path.is_file()]
    return "\n".join([done.stdout, done.stderr, *(path.read_text(errors="replace") for path in files)])


def test_debug_logs_of_a_night_show_no_secret(emulator: Emulator, night: str) -> None:
    tokens = [item["token"] for item in emulator.tokens()]
    assert len(tokens) == 2
    # Everything was executed, and much of it was logged.
    for part in ("DEBUG", "RESULT 5139", "ended FINISHED", "No record found for id '17'", "Invalid login", "TRIGGER ("):
        assert part in night, part
    for part in ("must be text", "bytes.", "was accepted", "PROXY (False", "HOOK {", "STATE Settings"):
        assert part in night, part
    passwords = [emulator.connection["password"], "wr0ng-passw0rd", "f4ulty-passw0rd", "pr0xy-passw0rd"]
    for secret in (*tokens, *passwords, "r3ady-made-token"):
        assert secret not in night
    # Not even the part of a token that says whose it is.
    for token in tokens:
        assert token.split(".")[1] not in night
        assert token.split(".")[2] not in night
