"""What a DAG's author sees in an editor: mypy and pyright accept the examples and report mistakes."""

from __future__ import annotations

import importlib.util
import inspect
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest
from airflow.providers.common.compat.sdk import BaseOperator

from mkw_airflow_provider.typing import OperatorArguments
from mkw_airflow_provider.version_compat import AIRFLOW_V_3_3_PLUS

HERE = Path(__file__).parent
Check: TypeAlias = Callable[..., set[tuple[str, int]]]


def _run(repository: Path, *command: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-m", *command], cwd=repository, capture_output=True, text=True, check=False, timeout=280
    )
    if ran.returncode not in (0, 1):
        pytest.skip(f"{command[0]} cannot run here: {ran.stderr[-200:]}")
    return ran.stdout


def mypy(repository: Path, *paths: Path) -> set[tuple[str, int]]:
    """Return file and line of each error, under the project's own settings, which are strict."""
    found = re.findall(r"^(.*?):(\d+): error:", _run(repository, "mypy", *map(str, paths)), flags=re.MULTILINE)
    return {(Path(path).name, int(line)) for path, line in found}


def pyright(repository: Path, *paths: Path) -> set[tuple[str, int]]:
    """Return file and line of each error, with the settings that editors have by default."""
    report = _run(repository, "pyright", "--outputjson", "--pythonpath", sys.executable, *map(str, paths))
    return {
        (Path(problem["file"]).name, problem["range"]["start"]["line"] + 1)
        for problem in json.loads(report)["generalDiagnostics"]
        # Airflow declares `params` of a DAG as what it is converted to; a dict is its documented form.
        if problem["severity"] == "error" and '"ParamsDict"' not in problem["message"]
    }


@pytest.fixture(params=[mypy, pyright], ids=lambda checker: checker.__name__)
def check(request: pytest.FixtureRequest, repository: Path) -> Check:
    if importlib.util.find_spec(request.param.__name__) is None:
        pytest.skip(f"{request.param.__name__} is not installed")
    return lambda *paths: request.param(repository, *paths)


def test_correct_dags_have_no_errors(check: Check, repository: Path) -> None:
    assert check(HERE / "dag_without_mistakes.py", *sorted((repository / "example_dags").glob("*.py"))) == set()


def test_each_mistake_is_reported(check: Check) -> None:
    file = HERE / "dag_with_mistakes.py"
    marked = [n for n, line in enumerate(file.read_text().splitlines(), start=1) if line.endswith("# mistake")]
    assert len(marked) > 20
    assert check(file) == {(file.name, line) for line in marked}


@pytest.mark.skipif(not AIRFLOW_V_3_3_PLUS, reason="older versions have fewer arguments")
def test_base_operator_arguments_are_known() -> None:
    parameters = inspect.signature(BaseOperator.__init__).parameters
    own = {name for name, parameter in parameters.items() if parameter.kind is not parameter.VAR_KEYWORD} - {"self"}
    assert own == OperatorArguments.__required_keys__ | OperatorArguments.__optional_keys__
