"""The page about the emulator says what is so."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from mkw_airflow_provider.emulator import Control, Emulator
from mkw_airflow_provider.emulator.__main__ import _parser
from mkw_airflow_provider.emulator.faults import actions
from mkw_airflow_provider.emulator.state import seed_format
from mkw_airflow_provider.emulator.state.switches import describe


@pytest.fixture
def page(repository):
    return (repository / "docs" / "reference" / "emulator.md").read_text("utf-8")


def section(page, title):
    return page.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_table_of_switches_is_complete(page):
    rows = [
        f"| `{name}` | `{default}` | {allowed} | {what} | {why} |" for name, default, allowed, what, why in describe()
    ]
    table = [line for line in section(page, "Switches").splitlines() if line.startswith("| `")]
    assert table == rows


def test_table_of_faults_is_complete(page):
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \|", section(page, "Faults"), re.MULTILINE)
    described = {action: set(re.findall(r"`(\w+)`", arguments)) for action, arguments in rows}
    kinds = [actions.ReplaceResponse, *actions.Action.__subclasses__(), *actions.ReplaceResponse.__subclasses__()]
    actual = {kind.__name__.lower(): set(kind.model_fields) - {"type"} for kind in kinds if "type" in kind.model_fields}
    assert described == actual


def test_table_of_control_calls_is_complete(page):
    rows = [line.split(" | ")[0] for line in section(page, "Control calls").splitlines() if line.startswith("| `")]
    described = set(re.findall(r"(\w+)\(", " ".join(rows)))
    public = {name for name, value in vars(Control).items() if callable(value) and not name.startswith("_")}
    assert described == public - {"connection_for"}


def test_table_of_options_is_complete(page):
    described = set(re.findall(r"`(--[\w-]+)", section(page, "Start it")))
    actual = {option for action in _parser()._actions for option in action.option_strings if option.startswith("--")}
    assert described == actual - {"--help"}


def test_seed_of_the_page_is_valid(page):
    (text,) = re.findall(r"```json\n(.*?)```", section(page, "Your own warehouse"), re.DOTALL)
    with Emulator(seed=json.loads(text)) as emulator:
        assert emulator.start_build("DWH", ["CUSTOMER"])["instance_names"] == ["CUSTOMER"]


def test_table_of_seed_keys_is_complete(page):
    table = re.findall(r"^\| ([a-z ]+) \| (`.*) \|$", section(page, "Your own warehouse"), re.MULTILINE)
    described = {name: set(re.findall(r"`(\w+)`", keys)) for name, keys in table}
    groups = seed_format.SEED["release_groups"][0]
    forms = {
        "release group": groups,
        "release": seed_format.RELEASE,
        "agent group": seed_format.SEED["agent_groups"][0],
        "agent": seed_format.SEED["agents"][0],
        "pattern": seed_format.SEED["patterns"][0],
        "project": seed_format.SEED["projects"][0],
        "folder": seed_format.FOLDER,
        "instance": {key: check for key, check in seed_format.INSTANCE.items() if key not in seed_format.FLAGS},
    }
    assert described == {name: set(form) for name, form in forms.items()}


def test_python_example_runs(page):
    (code,) = [block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "with Emulator" in block]
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert re.match(r"http://127\.0\.0\.1:\d+ \{", result.stdout)
