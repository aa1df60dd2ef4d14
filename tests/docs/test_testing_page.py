"""The `conftest.py` and the tests of the page about testing are run as a reader would run them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.docs.pages import DOCS, Page


def test_tests_of_the_page_pass(tmp_path: Path) -> None:
    blocks = Page(DOCS / "testing.md").code("python")
    files: dict[str, str] = {}
    for block in blocks:
        name, _, code = block.partition("\n")
        files.setdefault(name.removeprefix("# "), code)
    assert list(files) == ["tests/conftest.py", "dags/nightly.py", "tests/test_nightly.py"]
    for name, code in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(code)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
    ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout[-3000:]
    assert re.search(r"^3 passed", ran.stdout, re.MULTILINE)
