"""``python -m dev.benchmarks.render``: write the results into the page between its markers."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dev.benchmarks import tables

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "dev" / "benchmarks" / "results.json"
PAGE = ROOT / "docs" / "evidence" / "benchmarks.md"

_BLOCK = re.compile(r"(<!-- measured: ([a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def blocks(results: Mapping[str, Any]) -> dict[str, str]:
    """Return the Markdown for each marker.

    :param results: as ``python -m dev.benchmarks`` writes them.
    """
    found = {"machine": _machine(results)}
    targets = [target for table in results["tables"] for target in table["targets"]]
    found["targets"] = tables.markdown(tables.TARGET_COLUMNS, tables.target_rows(targets))
    for table in results["tables"]:
        found[table["name"]] = f"{table['note']}\n\n{tables.markdown(table['columns'], table['rows'])}"
    return found


def filled(page: str, results: Mapping[str, Any]) -> str:
    """Return the page with the results between its markers.

    :raises KeyError: there is no result for a marker.
    """
    return fill(page, blocks(results))


def fill(page: str, found: Mapping[str, str]) -> str:
    """Return a page with Markdown between its markers.

    :raises KeyError: there is nothing for a marker.
    """
    return _BLOCK.sub(lambda match: f"{match[1]}\n{found[match[2]]}\n\n{match[3]}", page)


def markers(page: str) -> list[str]:
    """Return the names of the markers of a page."""
    return [match[2] for match in _BLOCK.finditer(page)]


def _machine(results: Mapping[str, Any]) -> str:
    machine = results["machine"]
    rows: list[list[tables.Cell]] = [
        ["processor", f"{machine['processor']}, {machine['cores']} cores"],
        ["memory", f"{machine['memory_gib']} GiB"],
        ["system", machine["system"]],
        ["load before", str(machine["load_before"])],
        ["rounds", str(results["rounds"])],
        ["minutes", str(results["minutes"])],
        ["Python", machine["python"]],
        *([package, version] for package, version in results["versions"].items()),
    ]
    return tables.markdown(("measured on", results["date"]), rows)


def main() -> None:
    """Write the page."""
    PAGE.write_text(filled(PAGE.read_text("utf-8"), json.loads(RESULTS.read_text("utf-8"))), "utf-8")


if __name__ == "__main__":
    main()
