"""``python -m dev.benchmarks.faults.render``: write the measured fault table into its page between the markers."""

from __future__ import annotations

import json
from typing import Any

from dev.benchmarks.faults import TABLE
from dev.benchmarks.faults.setup import BLOCKED
from tests.kit.outcomes import FINISHED, STILL_WAITING

PAGE = TABLE.with_suffix(".md")
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


def rendered(table: dict[str, Any]) -> str:
    """Return a measurement in Markdown.

    :param table: as ``dev.benchmarks.faults`` writes it.
    """
    providers = table["providers"]
    lines = [
        f"Measured on {table['measured']} with Python {table['python']}, Airflow {table['airflow']}, and:",
        "",
        *[f"- {provider['package']} {provider['version']}" for provider in providers],
        "",
        f"| fault | {' | '.join(_short(provider['package']) for provider in providers)} |",
        f"|---|{'---|' * len(providers)}",
        *[_line(row, table["tasks"], providers) for row in table["rows"]],
    ]
    return "\n".join(lines)


def filled(page: str, table: dict[str, Any]) -> str:
    """Return the page with a measurement between the markers.

    :raises ValueError: if the page lacks a marker.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError("the page has no markers for the table")
    return f"{before}{BEGIN}\n\n{rendered(table)}\n\n{END}{after}"


def _short(package: str) -> str:
    return package.removeprefix("apache-airflow-providers-").replace("mkw-airflow-provider", "this provider")


def _line(row: dict[str, Any], tasks: int, providers: list[dict[str, str]]) -> str:
    cells = [_cell(row["outcomes"][provider["package"]], tasks, expected=row["right"]) for provider in providers]
    return f"| {row['fault']} | {' | '.join(cells)} |"


def _cell(outcome: dict[str, Any], tasks: int, *, expected: str) -> str:
    ended = outcome["first"]
    failed = tasks - ended.get(FINISHED, 0) - ended.get(STILL_WAITING, 0)
    right = {FINISHED: ended.get(FINISHED) == tasks, "failed": failed == tasks}.get(
        expected, STILL_WAITING not in ended
    )
    builds = f"{outcome['builds']} builds"
    parts = [
        f"{'✔' if right else '✘'} {builds if outcome['builds'] == tasks else f'**{builds}**'}",
        f"{outcome['requests']} requests",
    ]
    if STILL_WAITING in ended:
        parts.append("**waits forever**")
    if outcome["longest_stop"] >= BLOCKED:
        parts.append(f"**loop blocked {outcome['longest_stop']:.1f} s**")
    return ", ".join(parts)


def main() -> None:
    """Write the page."""
    PAGE.write_text(filled(PAGE.read_text("utf-8"), json.loads(TABLE.read_text("utf-8"))), "utf-8")


if __name__ == "__main__":
    main()
