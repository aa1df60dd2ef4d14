from __future__ import annotations

import json
import re
import signal
import subprocess
import sys

import pytest

from mkw_airflow_provider.emulator import Control

COMMAND = [sys.executable, "-m", "mkw_airflow_provider.emulator"]


@pytest.fixture
def run():
    """Start the command; gives the process, its URL and its connection. Ends what is left running."""
    processes = []

    def start(*arguments: str):
        command = [*COMMAND, "--port", "0", *arguments]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        processes.append(process)
        first, second = process.stdout.readline(), process.stdout.readline()
        url = re.fullmatch(r"MetaKraftwerk emulator at (https?://127\.0\.0\.1:\d+)\n", first).group(1)
        connection = re.fullmatch(r"AIRFLOW_CONN_METAKRAFTWERK_DEFAULT='(.*)'\n", second).group(1)
        return process, url, json.loads(connection)

    yield start
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_prints_where_it_is_and_ends_at_a_signal(run, number):
    process, url, connection = run()
    control = Control(url)
    assert connection == control.connection
    assert control.switches()["build_seconds"] == 10
    process.send_signal(number)
    assert (process.wait(10), process.stdout.read(), process.stderr.read()) == (0, "", "")


def test_options_set_switches(run):
    _, url, _ = run("--build-seconds", "3", "--switch", "ranges=off", "--switch", "error_body=html")
    switches = Control(url).switches()
    assert (switches["build_seconds"], switches["ranges"], switches["error_body"]) == (3, False, "html")


def test_requests_are_written_to_stderr(run, client):
    process, url, _ = run("--log-requests")
    client(url).log_in("demo@example.com").get("/builds/7")
    process.terminate()
    errors = process.communicate()[1]
    lines = [re.sub(r"^\S+ \S+ | in .*$", "", line) for line in errors.splitlines()]
    assert lines == ["POST /authentication -> 201", "GET /api/v1/builds/7 -> 404"]


def test_the_state_survives_the_end_of_the_process(run, tmp_path):
    file = str(tmp_path / "state.db")
    process, url, _ = run("--database", file)
    Control(url).start_build()
    process.kill()
    process.wait(10)
    _, url, _ = run("--database", file)
    assert [build["id"] for build in Control(url).builds()] == [5139]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--switch", "colour=red"], "There is no switch 'colour'. Switches: build_seconds, progress,"),
        (["--switch", "progress=fast"], "Allowed: linear, uneven, stuck, absent"),
        (["--switch", "ranges"], "write NAME=VALUE"),
        (["--build-seconds", "-1"], "Allowed: a number, 0 or more"),
        (["--tls-key", "x"], "--tls-key needs --tls-cert"),
    ],
)
def test_options_that_make_no_sense(arguments, message):
    result = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (2, "")
    assert message in result.stderr


def test_a_port_that_is_taken(emulator):
    command = [*COMMAND, "--port", str(emulator.port)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (1, "")
    assert "The emulator could not start: [Errno" in result.stderr
