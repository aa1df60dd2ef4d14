"""The table of ``make live``: fact, expected, seen."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence

from tests.live.findings import Fact, Finding, Verdict

Row = tuple[Fact, Finding]

VERDICT_WIDTH = max(len(verdict) for verdict in Verdict)
SMALLEST_COLUMN = 24


def render(rows: Sequence[Row], width: int) -> Iterator[str]:
    """Yield the lines of the table.

    :param width: of the terminal.
    """
    column = max(SMALLEST_COLUMN, (width - VERDICT_WIDTH - 6) // 3)
    widths = (VERDICT_WIDTH, column, column, column)
    yield from _lines(("", "fact", "expected", "seen"), widths)
    yield from _lines(tuple("-" * size for size in widths), widths)
    for fact, found in rows:
        seen = f"{found.seen}\n-> {found.effect}" if found.effect and found.verdict is not Verdict.GREEN else found.seen
        yield from _lines((found.verdict.value, f"{fact.section} {fact.subject}", fact.expected, seen), widths)
    yield ""
    yield summarize(rows)


def summarize(rows: Iterable[Row]) -> str:
    """Return one sentence that counts the verdicts."""
    verdicts = [found.verdict for _, found in rows]
    return ", ".join(f"{verdicts.count(verdict)} {verdict.value}" for verdict in Verdict) + "."


def _lines(cells: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    wrapped = [
        [line for part in cell.split("\n") for line in textwrap.wrap(part, size)]
        for cell, size in zip(cells, widths, strict=True)
    ]
    for number in range(max(map(len, wrapped))):
        parts = (lines[number] if number < len(lines) else "" for lines in wrapped)
        yield "  ".join(part.ljust(size) for part, size in zip(parts, widths, strict=True)).rstrip()
