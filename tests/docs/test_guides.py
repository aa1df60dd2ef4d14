"""The guides show examples that run, all of them, and what these make."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from textwrap import dedent

import pytest

from mkw_airflow_provider.emulator import Emulator
from mkw_airflow_provider.operators.build import DownloadBuildOperator
from tests.docs.pages import DOCS, PAGES, ROOT, Page, name_of

EXAMPLES = sorted((ROOT / "example_dags").glob("*.py"))


#: Guides with a whole DAG of their own, which is compared with what other providers offer.
WHOLE_DAGS = {"from_http_operator.md"}


def _sections() -> dict[str, str]:
    """Return the marked sections of all example DAGs, dedented, by name."""
    sections: dict[str, str] = {}
    for example in EXAMPLES:
        pattern = r"^ *# \[START (\w+)\]\n(.*?)^ *# \[END \1\]"
        for name, code in re.findall(pattern, example.read_text(), flags=re.MULTILINE | re.DOTALL):
            assert name not in sections, f"{name} is marked twice"
            sections[name] = dedent(code)
    return sections


@pytest.mark.parametrize("page", sorted((DOCS / "guides").glob("*.md")), ids=name_of)
def test_code_in_a_guide_is_from_an_example(page: Path) -> None:
    if page.name not in WHOLE_DAGS:
        sections = [re.sub(r"\s+", " ", code) for code in _sections().values()]
        for block in Page(page).code("python"):
            assert any(re.sub(r"\s+", " ", block).strip() in section for section in sections), block


@pytest.mark.parametrize("name", _sections())
def test_each_marked_section_is_in_a_guide(name: str) -> None:
    shown = [code for page in map(Page, PAGES) for code in page.code("python")]
    wanted = re.sub(r"\s+", " ", _sections()[name])
    assert any(re.sub(r"\s+", " ", code).strip() in wanted for code in shown)


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
