from __future__ import annotations

import json
import os
import subprocess
import sys

from mkw_airflow_provider.emulator import Emulator


def test_fixture_is_the_tests_connection(metakraftwerk):
    connection = json.loads(os.environ["AIRFLOW_CONN_METAKRAFTWERK_DEFAULT"])
    extra = connection.pop("extra")
    assert connection == metakraftwerk.connection
    assert max(extra.values()) <= 15
    assert set(extra) == {"connect_timeout", "read_timeout", "outage_tolerance"}
    assert isinstance(metakraftwerk, Emulator)


def test_fixture_is_the_sessions_emulator(metakraftwerk, metakraftwerk_emulator):
    assert metakraftwerk is metakraftwerk_emulator


def run(folder, code):
    (folder / "test_it.py").write_text(code, "utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_it.py"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_each_test_starts_without_a_token(tmp_path):
    code = """
import pytest

from mkw_airflow_provider.hooks.metakraftwerk import MetaKraftwerkHook


@pytest.mark.parametrize("number", [1, 2])
def test_it(metakraftwerk, number):
    MetaKraftwerkHook().find_builds()
    assert len(metakraftwerk.tokens()) == 1
"""
    result = run(tmp_path, code)
    assert "2 passed" in result.stdout, result.stdout


def test_each_test_starts_at_the_seed(tmp_path):
    code = """
def test_first(metakraftwerk):
    metakraftwerk.start_build()
    metakraftwerk.set(progress="stuck")
    metakraftwerk.stop()


def test_second(metakraftwerk):
    assert metakraftwerk.running
    assert metakraftwerk.builds() == []
    assert metakraftwerk.switches()["progress"] == "linear"
"""
    result = run(tmp_path, code)
    assert "2 passed" in result.stdout, result.stdout


def test_emulator_errors_fail_the_test(tmp_path):
    code = """
import json
from urllib.error import HTTPError
from urllib.request import Request, urlopen


def test_it(metakraftwerk):
    login = json.dumps({"strategy": "local", "email": "demo@example.com", "password": "demo-password"}).encode()
    request = Request(f"{metakraftwerk.url}/authentication", login, {"Content-Type": "application/json"})
    token = json.load(urlopen(request))["accessToken"]
    metakraftwerk._parts[0].store.execute("DROP TABLE agents")
    try:
        urlopen(Request(f"{metakraftwerk.url}/api/v1/agents", headers={"Authorization": f"Bearer {token}"}))
    except HTTPError as error:
        assert error.code == 500
        assert json.load(error)["message"] == "The emulator failed: OperationalError"
"""
    result = run(tmp_path, code)
    assert "1 passed, 1 error" in result.stdout, result.stdout
    assert "The emulator itself failed during GET /api/v1/agents" in result.stdout


def test_injected_500_does_not_fail_the_test(tmp_path):
    code = """
from urllib.error import HTTPError
from urllib.request import urlopen


def test_it(metakraftwerk):
    metakraftwerk.fault("status", status=500)
    try:
        urlopen(f"{metakraftwerk.url}/api/v1/agents")
    except HTTPError as error:
        assert error.code == 500
"""
    result = run(tmp_path, code)
    assert "1 passed" in result.stdout, result.stdout
