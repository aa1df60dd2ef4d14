"""Measure the fault table of all providers and write it as JSON; it takes about 15 minutes."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
from dataclasses import asdict
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

import certifi

from dev.benchmarks.faults import TABLE
from dev.benchmarks.faults.other_providers import PROVIDERS
from dev.benchmarks.faults.program import make_certificates
from dev.benchmarks.faults.rows import ROWS
from dev.benchmarks.faults.setup import TASKS, Pace


class Column:
    """The measurement of one provider, in a process of its own with a server of its own.

    :param package: name of the provider's distribution.
    :param folder: for certificates, state and logs.
    """

    def __init__(self, package: str, folder: Path, pace: Pace, wanted: list[str]) -> None:
        self._folder = folder
        folder.mkdir()
        make_certificates(folder)
        authorities = folder / "authorities.pem"
        authorities.write_bytes(Path(certifi.where()).read_bytes() + (folder / "authority.pem").read_bytes())
        trusted = {"SSL_CERT_FILE": str(authorities), "REQUESTS_CA_BUNDLE": str(authorities)}
        with (folder / "log").open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603
                [
                    sys.executable,
                    "-m",
                    "dev.benchmarks.faults.measure_provider",
                    package,
                    folder,
                    json.dumps(asdict(pace)),
                    *wanted,
                ],
                env={**os.environ, **trusted, "AIRFLOW_HOME": str(folder / "airflow")},
                stdout=log,
                # Its server must end with it.
                start_new_session=True,
            )

    def result(self) -> dict[str, Any]:
        """Return the measurement when it has ended.

        :raises RuntimeError: if it failed.
        """
        if self._process.wait():
            raise RuntimeError(
                f"a measurement failed; its log ends with:\n{(self._folder / 'log').read_text()[-2000:]}"
            )
        column: dict[str, Any] = json.loads((self._folder / "column.json").read_text())
        return column

    def end(self) -> None:
        """End the measurement and its server."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def main() -> None:
    """Measure all providers in parallel and write the table."""
    options = _options()
    pace = Pace(
        minute=options.minute,
        build=8.0,
        poll_interval=2.0,
        read_timeout=5.0,
        slow=6.0,
        retry_after=4,
        # This provider's default; the shorter one is for faults that never end.
        tolerance=900.0,
        short_tolerance=10.0,
        patience=3 * options.minute,
    )
    rows = [row for row in ROWS if row.id in (options.row or [row.id])]
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        ids = [row.id for row in rows]
        columns = [Column(package, Path(folder) / package, pace, ids) for package in PROVIDERS]
        try:
            measured = [column.result() for column in columns]
        finally:
            for column in columns:
                column.end()
    table = {
        "measured": f"{datetime.now(timezone.utc):%Y-%m-%d}",
        "python": platform.python_version(),
        "airflow": version("apache-airflow"),
        "tasks": TASKS,
        "pace": asdict(pace),
        "providers": [{key: column[key] for key in ("package", "version")} for column in measured],
        "rows": [
            {
                "id": row.id,
                "fault": pace.describe(row.fault),
                "right": row.right_ending,
                "outcomes": {column["package"]: column["outcomes"][row.id] for column in measured},
            }
            for row in rows
        ],
    }
    if options.row:
        table = _with_rows(json.loads(options.output.read_text()), table)
    options.output.write_text(json.dumps(table, indent=2) + "\n")


def _with_rows(table: dict[str, Any], added: dict[str, Any]) -> dict[str, Any]:
    """Return a table with newly measured rows, sorted as in the catalog of faults.

    :raises ValueError: the rest of the table was measured with other versions or times.
    """
    for key in ("python", "airflow", "tasks", "pace", "providers"):
        if table[key] != added[key]:
            raise ValueError(f"{key} of the table is {table[key]}, now it is {added[key]}: measure all rows again")
    rows = {row["id"]: row for row in (*table["rows"], *added["rows"])}
    return {**table, "rows": [rows[row.id] for row in ROWS if row.id in rows]}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m dev.benchmarks.faults", description=__doc__)
    parser.add_argument("--minute", type=float, default=60.0, help="seconds that stand for a minute")
    parser.add_argument("--row", action="append", choices=[row.id for row in ROWS], help="only this row; repeatable")
    parser.add_argument("--output", type=Path, default=TABLE, help="where to write")
    return parser.parse_args()
