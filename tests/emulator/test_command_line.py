from __future__ import annotations

import json
import re
import signal
import subprocess
import sys

import pytest

from mkw_airflow_provider.emulator import Control, Emulator

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
def test_prints_its_url_and_ends_on_signals(run, number):
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


def test_state_survives_a_killed_process(run, tmp_path):
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
        (["--switch", "color=red"], "Unknown switch 'color'. Switches: build_seconds, progress,"),
        (["--switch", "progress=fast"], "Allowed: linear, uneven, stuck, absent"),
        (["--switch", "ranges"], "write NAME=VALUE"),
        (["--build-seconds", "-1"], "Allowed: a number, 0 or more"),
        (["--tls-key", "x"], "--tls-key needs --tls-cert"),
        (["--port", "70000"], "'70000' is not a port: give a number from 0 to 65535"),
        (["--host", ""], "the address is empty"),
    ],
)
def test_invalid_options_are_one_sentence(arguments, message):
    result = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (2, "")
    assert message in result.stderr


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--port", "{port}"], "Cannot listen on 127.0.0.1, port {port}: Address already in use."),
        (["--host", "no.such.host.invalid"], "Cannot listen on no.such.host.invalid, port 0: .*"),
        (["--database", "{folder}/none/x.db"], "{folder}/none/x.db cannot be used as a database: unable to open .*"),
        (["--database", "{folder}/text"], "{folder}/text cannot be used as a database: file is not a database."),
        (["--database", "{folder}"], "{folder} cannot be used as a database: unable to open database file."),
        (["--database", " "], "The name of the database file is empty."),
        (["--database", "{folder}/used"], "The database {folder}/used is in use by another emulator."),
        (["--tls-cert", "{folder}/none"], "Cannot use the certificate {folder}/none: No such file or directory."),
        (["--tls-cert", "{folder}/text"], "Cannot use the certificate {folder}/text: not a PEM file with .*"),
    ],
)
def test_failed_start_is_one_sentence(emulator, tmp_path, arguments, reason):
    (tmp_path / "text").write_text("hello " * 1000)
    places = {"port": emulator.port, "folder": tmp_path}
    command = [*COMMAND, "--port", "0", *(argument.format(**places) for argument in arguments)]
    with Emulator(tmp_path / "used"):
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (1, "")
    assert re.fullmatch("The emulator could not start: " + reason.format(**places) + "\n", result.stderr)


def test_closed_stdout_does_not_stop_it(run):
    process = subprocess.Popen([*COMMAND, "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    url = process.stdout.readline().split()[-1]
    process.stdout.close()
    assert Control(url).health()["status"] == "up"
    process.terminate()
    assert (process.wait(30), process.stderr.read()) == (0, "")
    process.stderr.close()
