"""Every distribution that is imported directly is declared in ``pyproject.toml``."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

try:
    import tomllib
except ImportError:  # Python 3.10
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
OURS = {"mkw_airflow_provider", "dev", "tests", "example_dags", "demo", "conf"}


def canonical(name: str) -> str:
    """Return the name of a distribution as the package index compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.fixture(scope="module")
def declared() -> dict[str, set[str]]:
    """The names of what each part of the project declares."""
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = project["dependency-groups"]
    named = {"package": project["project"]["dependencies"], **project["project"]["optional-dependencies"], **groups}
    return {
        part: {canonical(re.match(r"[\w.-]+", each)[0]) for each in requirements if isinstance(each, str)}  # type: ignore[index]
        for part, requirements in named.items()
    }


def imported(folder: str) -> Iterator[tuple[str, str]]:
    """Yield each file of a folder with each module that it imports, except those of the standard library and ours."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module]
            for name in names:
                if name.partition(".")[0] not in {*sys.stdlib_module_names, *OURS}:
                    yield str(path.relative_to(ROOT)), name


def missing(folder: str, allowed: set[str], *, without: tuple[str, ...] = ()) -> dict[str, set[str]]:
    """Return what is imported without being declared, with the files that import it."""
    distributions = packages_distributions()
    found: dict[str, set[str]] = {}
    for path, module in imported(folder):
        names = {canonical(name) for name in distributions.get(module.partition(".")[0], [])}
        if not path.startswith(without) and names and not names & allowed:
            found.setdefault(module.partition(".")[0], set()).add(path)
    return found


def test_package_declares_its_imports(declared: dict[str, set[str]]) -> None:
    """The pages run in Airflow's API server only, and are made of what it is made of."""
    others = ("mkw_airflow_provider/emulator", "mkw_airflow_provider/plugin")
    assert missing("mkw_airflow_provider", declared["package"], without=others) == {}


def test_emulator_declares_its_imports(declared: dict[str, set[str]]) -> None:
    """Airflow 3 depends on them; with Airflow 2.11 they are an extra."""
    allowed = declared["package"] | declared["emulator"] | declared["test"]
    assert missing("mkw_airflow_provider/emulator", allowed) == {}


@pytest.mark.parametrize("folder", ["dev", "tests", "docs"])
def test_tools_declare_their_imports(declared: dict[str, set[str]], folder: str) -> None:
    assert missing(folder, set().union(*declared.values())) == {}
