"""The table at the end of ``make versions``: the results of the tests on each version of Airflow."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree as ET

#: The parts of a run, by the names of their reports.
PARTS = {"airflow": "tests/airflow", "real": "real Airflow"}
COLUMNS = ("Airflow", "Python", "tests", "passed", "skipped", "failed", "seconds")
#: The columns before these hold text.
FIRST_NUMBER = 3
NO_REPORT = "no report"


class Counts(NamedTuple):
    """The numbers of one run of pytest; an error before or after a test counts as failed."""

    passed: int
    skipped: int
    failed: int
    seconds: float


def read_report(path: Path) -> Counts | None:
    """Return the numbers of a JUnit report; None if pytest ended before it wrote one."""
    try:
        # pytest wrote this file just now.
        suite = ET.parse(path).find("testsuite")  # noqa: S314
    except (OSError, ET.ParseError):
        return None
    if suite is None:
        return None
    total, skipped, failures, errors = (int(suite.get(name, 0)) for name in ("tests", "skipped", "failures", "errors"))
    failed = failures + errors
    return Counts(total - skipped - failed, skipped, failed, float(suite.get("time", 0)))


def read_versions(environment: Path) -> tuple[str, str]:
    """Return the versions of Airflow and of Python that are installed in an environment."""
    python = re.search(r"^version_info = (\S+)", (environment / "pyvenv.cfg").read_text(), re.MULTILINE)
    (airflow,) = environment.glob("lib/python*/site-packages/apache_airflow-*.dist-info")
    return airflow.name.removeprefix("apache_airflow-").removesuffix(".dist-info"), "?" if python is None else python[1]


def make_row(report: Path) -> tuple[str, ...]:
    """Return the row of a report, which is in the folder of its environment."""
    airflow, python = read_versions(report.parent)
    name = report.parent.name
    # The environment `lowest` has the Airflow of another one, with older libraries.
    first = (airflow if airflow.startswith(name) else f"{airflow} {name}", python, PARTS[report.stem])
    counts = read_report(report)
    if counts is None:
        return (*first, "", "", NO_REPORT, "")
    return (*first, *map(str, counts[:3]), f"{counts.seconds:.0f}")


def render(rows: Sequence[tuple[str, ...]]) -> str:
    """Return the table as text."""
    widths = [max(map(len, column)) for column in zip(COLUMNS, *rows, strict=True)]
    lines = [COLUMNS, tuple("-" * width for width in widths), *rows]
    return "\n".join("  ".join(_cells(line, widths)).rstrip() for line in lines) + "\n"


def _cells(line: tuple[str, ...], widths: Sequence[int]) -> Iterator[str]:
    for number, (cell, width) in enumerate(zip(line, widths, strict=True)):
        yield cell.ljust(width) if number < FIRST_NUMBER else cell.rjust(width)


def main() -> int:
    """Print the table of the reports that are named; 1 if one does not exist."""
    rows = [make_row(Path(name)) for name in sys.argv[1:]]
    sys.stdout.write(f"\n{render(rows)}")
    return int(any(NO_REPORT in row for row in rows))


if __name__ == "__main__":
    sys.exit(main())
