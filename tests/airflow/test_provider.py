"""What Airflow knows of this package: its metadata, its modules, its connection type."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import warnings
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import airflow
import jsonschema  # type: ignore[import-untyped]
import pytest
from airflow.providers_manager import ProvidersManager

import mkw_airflow_provider
from mkw_airflow_provider import __version__
from mkw_airflow_provider.get_provider_info import get_provider_info

PACKAGE = "mkw-airflow-provider"
CONNECTION_TYPE = "metakraftwerk"


@pytest.fixture(scope="module")
def remarks() -> list[str]:
    """Filled with what Airflow warns of, as far as it concerns this package, while it reads all metadata."""
    return []


@pytest.fixture(scope="module")
def manager(remarks: list[str]) -> Iterator[ProvidersManager]:
    """Airflow's own view of all providers, with everything loaded."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        manager = ProvidersManager()  # type: ignore[no-untyped-call]
        assert manager.hooks[CONNECTION_TYPE] is not None
        # Empty in Airflow 3.0 and 3.1, where only the API server can make the form.
        assert manager.connection_form_widgets is not None
        assert manager.field_behaviours is not None
    ours = str(Path(mkw_airflow_provider.__file__).parent)
    remarks += [
        f"{item.category.__name__}: {item.message}"
        for item in caught
        if item.filename.startswith(ours) or "metakraftwerk" in str(item.message).lower()
    ]
    return manager


def test_entry_point_is_found() -> None:
    (found,) = (point for point in entry_points(group="apache_airflow_provider") if point.value.startswith("mkw_"))
    assert found.name == "provider_info"
    assert found.load() is get_provider_info


def test_metadata_follows_airflows_schema() -> None:
    schema = json.loads((Path(str(airflow.__file__)).parent / "provider_info.schema.json").read_text())
    jsonschema.validate(get_provider_info(), schema)


def test_metadata_is_json() -> None:
    assert json.loads(json.dumps(get_provider_info())) == get_provider_info()


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("hooks", ["metakraftwerk"]),
        ("operators", ["build", "deployment"]),
        ("sensors", ["build"]),
        ("triggers", ["build", "events"]),
    ],
)
def test_every_public_module_is_listed(kind: str, names: list[str]) -> None:
    (group,) = get_provider_info()[kind]
    assert group["python-modules"] == [f"mkw_airflow_provider.{kind}.{name}" for name in names]
    for name in group["python-modules"]:
        importlib.import_module(name)


@pytest.mark.filterwarnings("ignore:ProvidersManager.hooks is deprecated")
def test_airflow_lists_the_provider_and_its_hook(manager: ProvidersManager) -> None:
    assert manager.providers[PACKAGE].version == __version__
    hook = manager.hooks[CONNECTION_TYPE]
    assert hook is not None
    assert (hook.hook_name, hook.package_name) == ("MetaKraftwerk", PACKAGE)
    assert hook.hook_class_name == "mkw_airflow_provider.hooks.metakraftwerk.MetaKraftwerkHook"
    assert hook.connection_id_attribute_name == "metakraftwerk_conn_id"
    assert hook.connection_testable is True


def test_airflow_logs_no_warning(manager: ProvidersManager, remarks: list[str]) -> None:
    """Neither about an error nor about something deprecated, such as form methods despite the metadata."""
    assert manager.providers
    assert remarks == []


#: Both commands in one process, because starting Airflow takes long.
COMMANDS = """
import sys
from airflow.__main__ import main
for arguments in (["list"], ["get", "mkw-airflow-provider", "--full"]):
    sys.argv = ["airflow", "providers", *arguments, "-o", "json"]
    main()
    print("=====", flush=True)
"""


def test_airflow_command_shows_the_provider() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "default", "-c", COMMANDS], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stderr.splitlines() if "Warning" in line and "mkw_airflow_provider" in line] == []
    listed, shown, _ = done.stdout.split("=====\n")
    # Some versions print lines of their log before the table.
    rows = {row["package_name"]: row for row in json.loads(listed[listed.index("[{") :])}
    assert rows[PACKAGE]["version"] == __version__
    assert rows[PACKAGE]["description"].startswith("Start MetaKraftwerk builds")
    for word in ("Start MetaKraftwerk builds", "mkw_airflow_provider.operators.build", __version__):
        assert word in shown
