"""Results as text for a terminal and as Markdown for the documentation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Cell = str | float | None
Result = Mapping[str, Any]

TARGET_COLUMNS = ("what", "target", "measured", "")


def shown(value: Cell) -> str:
    """Return a cell as text: integers as they are, other numbers with three digits."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if value == int(value) or abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}" if abs(value) >= 0.1 else f"{value:.2g}"


def target_rows(targets: Sequence[Result]) -> list[list[Cell]]:
    """Return the rows of a table of targets."""
    return [
        [
            target["what"],
            f"at most {shown(target['limit'])} {target['unit']}".strip(),
            f"{shown(target['measured'])} {target['unit']}".strip(),
            "met" if target["reached"] else "**missed**",
        ]
        for target in targets
    ]


def plain(columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """Return a table for a terminal."""
    cells = [list(columns), *([shown(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        ).rstrip()
        for row in cells
    ]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def markdown(columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """Return a table for the documentation."""
    lines = [columns, ["---", *["--:"] * (len(columns) - 1)], *([shown(cell) for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def as_text(table: Result) -> str:
    """Return a table with its title, note and targets for a terminal."""
    parts = [table["title"], table["note"], "", plain(table["columns"], table["rows"])]
    if table["targets"]:
        parts += ["", plain(TARGET_COLUMNS, target_rows(table["targets"]))]
    return "\n".join(parts).replace("**", "") + "\n"
