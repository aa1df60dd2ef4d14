"""The guides show examples that run, all of them, and what these make."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

from mkw_airflow_provider.emulator import Emulator
from mkw_airflow_provider.operators.build import DownloadBuildOperator
from tests.docs.pages import DOCS, READABLE, ROOT, Page, name_of

EXAMPLES = sorted((ROOT / "example_dags").glob("*.py"))
#: Guides with a whole DAG of their own, which is compared with what other providers offer.
WHOLE_DAGS = {"from_http_operator.md"}


def _statements() -> set[str]:
    """Return every statement of all example DAGs, in a form that does not depend on the layout."""
    trees = [ast.parse(example.read_text()) for example in EXAMPLES]
    return {ast.dump(node) for tree in trees for node in ast.walk(tree) if isinstance(node, ast.stmt)}


@pytest.mark.parametrize("page", sorted((DOCS / "guides").glob("*.md")), ids=name_of)
def test_code_in_a_guide_is_from_an_example(page: Path) -> None:
    if page.name not in WHOLE_DAGS:
        known = _statements()
        for block in Page(page).code("python"):
            assert [ast.unparse(node) for node in ast.parse(block).body if ast.dump(node) not in known] == []


@pytest.mark.parametrize("example", EXAMPLES, ids=name_of)
def test_each_example_is_linked(example: Path) -> None:
    linked = {(path.parent / link).resolve() for path in READABLE for link in Page(path).links() if "://" not in link}
    assert example in linked


@pytest.mark.parametrize("page", sorted(WHOLE_DAGS))
def test_complete_dags_are_valid_python(page: str) -> None:
    for block in Page(DOCS / "guides" / page).code("python"):
        ast.parse(block)


def test_shown_manifest_has_the_real_keys(connected: Emulator, tmp_path: Path) -> None:
    (block,) = Page(DOCS / "guides" / "download.md").code("json")
    shown = json.loads(block)
    build = connected.start_build()
    connected.end_build(build["id"], "FINISHED")
    real = DownloadBuildOperator(task_id="t", build_id=build["id"], destination=str(tmp_path)).execute({})
    assert list(shown) == list(real)
    assert list(shown["files"][0]) == list(real["files"][0])


def test_shown_description_is_a_real_one() -> None:
    from mkw_airflow_provider.client.flows.build_marker import BuildMarker
    from mkw_airflow_provider.operators.attempt import Attempt

    shown = next(block for block in Page(DOCS / "guides" / "start.md").code("text") if "[airflow:" in block).rstrip()
    found = re.search(r"DAG (\S+), task (\S+), run (\S+)$", shown)
    marker = BuildMarker.find(shown)
    assert found is not None
    assert marker is not None
    attempt = Attempt(found[1], found[3], found[2], map_index=-1, try_number=1, max_tries=marker.max_tries)
    assert shown == marker.describe("nightly build", f"Started by Airflow: {attempt}")
