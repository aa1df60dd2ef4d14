"""``pytest -m live``, which ``make live`` runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from mkw_airflow_provider.exceptions import ConfigurationError
from tests.live.all_facts import ALL, READING
from tests.live.options import PREFIX, Options
from tests.live.page import fact_rows, variable_rows

#: The plugins of other tests take longer to load than the checks to run.
PLUGINS = ["-p", "no:cacheprovider", "-p", "pytest_timeout"]
COMMAND = [sys.executable, "-m", "pytest", "-q", "-m", "live", *PLUGINS, "tests/live"]


@pytest.fixture
def run(repository):
    """Run the command with some variables, as in a terminal of 160 columns."""

    def run_with(**variables):
        environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        environment |= {f"{PREFIX}{name.upper()}": value for name, value in variables.items()}
        environment |= {"COLUMNS": "160", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        return subprocess.run(COMMAND, cwd=repository, env=environment, capture_output=True, text=True, check=False)

    return run_with


def test_missing_account_lists_the_variables(run):
    result = run(url="http://127.0.0.1:9")
    assert result.returncode == 0, result.stdout + result.stderr
    assert (
        "Set METAKRAFTWERK_LIVE_URL and METAKRAFTWERK_LIVE_LOGIN and METAKRAFTWERK_LIVE_PASSWORD "
        "(or METAKRAFTWERK_LIVE_TOKEN instead of the last two) to check a real account."
    ) in result.stdout
    assert f"{len(ALL)} skipped" in result.stdout


def test_table_shows_each_fact_and_no_secret(run, metakraftwerk):
    metakraftwerk.set(error_body="feathers4", list_limit=2)
    connection = metakraftwerk.connection
    result = run(url=metakraftwerk.url, login=connection["login"], password=connection["password"])
    assert result.returncode == 1, result.stdout + result.stderr
    table = result.stdout.partition("facts about the service")[2]
    rows = [line for line in table.splitlines() if line.startswith(("green", "tolerated", "red", "not checked"))]
    assert len(rows) == len(ALL)
    assert any(row.startswith("tolerated") and "1.5, 5.2 Body of an error" in row for row in rows)
    assert any(row.startswith("red") and "1.7, 5.3 Length of lists" in row for row in rows)
    assert sum(row.startswith("not checked") for row in rows) >= len(ALL) - len(READING)
    assert "needs METAKRAFTWERK_LIVE_PROJECT" in table
    secrets = [connection["password"], *(token["token"] for token in metakraftwerk.tokens())]
    assert len(secrets) == 2
    assert [secret for secret in secrets if secret in result.stdout + result.stderr] == []


def test_misspelled_variable_is_an_error():
    with pytest.raises(ValueError, match=r"Unknown variable METAKRAFTWERK_LIVE_USER; known: METAKRAFTWERK_LIVE_URL, "):
        Options.from_environment({"METAKRAFTWERK_LIVE_USER": "x"})


def test_empty_variables_are_not_set():
    assert Options.from_environment({"METAKRAFTWERK_LIVE_PROJECT": " ", "PATH": "/bin"}) == Options()


@pytest.mark.parametrize(
    ("instance", "definition"),
    [
        ("1001", {"id": 1001}),
        ("P/A/B/X", {"pattern": "P", "folder": "/A/B", "name": "X"}),
        ("P/X", {"pattern": "P", "folder": "/", "name": "X"}),
    ],
)
def test_instances_by_id_or_name(instance, definition):
    assert Options(instance=instance).instance_definition() == definition


def test_extra_and_releases_are_json_objects():
    account = {"url": "https://x.example", "token": "t"}
    options = Options(**account, extra='{"read_timeout": 5}', releases='{"G": "R1"}')
    assert (options.settings().read_timeout, options.settings().outage_tolerance) == (5, 30)
    assert options.release_mapping() == {"G": "R1"}
    for wrong in ("[1]", "G=R1"):
        with pytest.raises(ConfigurationError, match="METAKRAFTWERK_LIVE_EXTRA must be a JSON object"):
            Options(**account, extra=wrong).settings()


@pytest.mark.parametrize(
    ("variables", "is_complete"),
    [
        ({"url": "x", "login": "y", "password": "z"}, True),
        ({"url": "x", "token": "t"}, True),
        ({"url": "x", "login": "y"}, False),
        ({"token": "t"}, False),
    ],
)
def test_login_or_token_is_required(variables, is_complete):
    assert (Options(**variables).missing is None) is is_complete


def test_tables_of_the_page_are_complete(repository):
    lines = (repository / "docs" / "evidence" / "live.md").read_text("utf-8").splitlines()
    assert [line for line in lines if line.startswith(f"| `{PREFIX}")] == variable_rows()
    assert [line for line in lines if re.match(r"\| \d", line)] == fact_rows()
