"""What a run of these tests leaves on the machine: nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("options", [[], ["-n", "1"]], ids=["alone", "xdist"])
def test_run_leaves_no_airflow_home(repository: Path, tmp_path: Path, options: list[str]) -> None:
    some_tests = "tests/unit/test_build_marker.py"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, some_tests]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment["TMPDIR"] = str(tmp_path)
    ran = subprocess.run(command, cwd=repository, env=environment, capture_output=True, text=True, check=False)
    assert " passed in " in ran.stdout, ran.stdout + ran.stderr
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("airflow-home-")] == []
