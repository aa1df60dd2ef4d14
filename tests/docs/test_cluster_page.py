"""The page about the cluster shows the figures of its last run."""

from __future__ import annotations

import json
from pathlib import Path

from dev.benchmarks.render import fill, markers
from dev.cluster.report import blocks

PAGE = Path(__file__).parents[2] / "docs" / "evidence" / "cluster.md"


def test_page_shows_its_figures() -> None:
    page = PAGE.read_text("utf-8")
    found = blocks(json.loads(PAGE.with_suffix(".json").read_text("utf-8")))
    assert sorted(markers(page)) == sorted(found)
    assert fill(page, found) == page
