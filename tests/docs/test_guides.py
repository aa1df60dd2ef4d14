"""The guides show examples that run, all of them, and what these make."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from mkw_airflow_provider.emulator import Emulator
from mkw_airflow_provider.operators.build import DownloadBuildOperator
from tests.docs.pages import DOCS, PAGES, ROOT, Page, name_of

EXAMPLES = sorted((ROOT / "example_dags").glob("*.py"))


def _marks(kind: str, text: str) -> list[str]:
    return re.findall(rf"# \[{kind} (\w+)\]", text)


def _inclusions() -> list[Any]:
    return [
        pytest.param(page.path, argument, body, id=f"{name_of(page.path)}-{number}")
        for page in map(Page, PAGES)
        for number, (argument, body) in enumerate(page.directives("literalinclude"))
    ]


@pytest.mark.parametrize(("page", "argument", "body"), _inclusions())
def test_an_included_piece_lies_between_marks_of_an_example(page: Path, argument: str, body: str) -> None:
    example = (page.parent / argument).resolve()
    assert example in EXAMPLES
    options = dict(re.findall(r'^:([\w-]+): "?(.*?)"?$', body, flags=re.MULTILINE))
    (start,) = re.findall(r"\[START (\w+)\]", options["start-after"])
    assert options["end-before"] == f"[END {start}]"
    text = example.read_text()
    assert text.count(options["start-after"]) == text.count(options["end-before"]) == 1
    assert text.index(options["start-after"]) < text.index(options["end-before"])


@pytest.mark.parametrize("example", EXAMPLES, ids=name_of)
def test_each_marked_piece_of_an_example_is_shown_in_a_guide(example: Path) -> None:
    text = example.read_text()
    shown = "".join(body for page in map(Page, PAGES) for _, body in page.directives("literalinclude"))
    assert _marks("START", text) == _marks("END", text)
    assert [mark for mark in _marks("START", text) if f"[START {mark}]" not in shown] == []


@pytest.mark.parametrize("page", sorted((DOCS / "guides").glob("*.md")), ids=name_of)
def test_no_guide_has_code_of_a_dag_of_its_own(page: Path) -> None:
    assert Page(page).code("python") == []


def test_the_manifest_that_is_shown_has_the_keys_of_a_real_one(connected: Emulator, tmp_path: Path) -> None:
    (block,) = Page(DOCS / "guides" / "download.md").code("json")
    shown = json.loads(block)
    build = connected.start_build()
    connected.end_build(build["id"], "FINISHED")
    real = DownloadBuildOperator(task_id="t", build_id=build["id"], destination=str(tmp_path)).execute({})
    assert list(shown) == list(real)
    assert list(shown["files"][0]) == list(real["files"][0])


def test_the_description_that_is_shown_is_that_of_a_build(connected: Emulator) -> None:
    from mkw_airflow_provider.client.flows.build_marker import BuildMarker

    shown = next(block for block in Page(DOCS / "guides" / "start.md").code("text") if "[airflow:" in block)
    text, line = shown.splitlines()
    found = re.fullmatch(r"Started by Airflow: DAG (\S+), task (\S+), run (\S+) \[airflow:[0-9a-f]{16}\]", line)
    assert found is not None
    identity = BuildMarker(found[1], found[3], found[2], map_index=-1, first_try=1)
    assert re.sub("[0-9a-f]{16}]", "]", identity.describe(text)) == re.sub("[0-9a-f]{16}]", "]", shown.rstrip())
