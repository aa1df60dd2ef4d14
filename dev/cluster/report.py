"""The report of a cluster: lines for the terminal, and the page in the docs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dev.chaos.invariants import Violation


def scenario_line(summary: Mapping[str, Any]) -> str:
    """Return a scenario in one line."""
    cpu = sum(summary["cpu_per_chain"].values())
    delay = summary["delay"]
    return (
        f"{summary['scenario']}: {summary['seconds']:.0f} s, {summary['chains_per_minute']} chains per minute, "
        f"{cpu:.1f} s of CPU each; waits end {delay['p50']} s after their builds (p95 {delay['p95']} s)"
    )


def text(figures: Mapping[str, Any], violations: Sequence[Violation]) -> str:
    """Return the report for the terminal."""
    lines = [
        f"chains       {figures['chains']}",
        f"builds       {figures['builds']}",
        f"deployments  {figures['deployments']}",
        f"requests     {figures['requests']}",
    ]
    lines += [f"fault        {row['fault']}: {_costs(row)}" for row in figures["faults"]]
    lines += [f"took         {figures['seconds']} s", ""]
    lines += ["Violations:", *(f"  {violation}" for violation in violations)] if violations else ["No violations."]
    return "\n".join(lines)


def write(folder: Path, figures: Mapping[str, Any]) -> None:
    """Write the figures."""
    (folder / "cluster.json").write_text(json.dumps(figures, indent=1) + "\n")


def _costs(row: Mapping[str, Any]) -> str:
    return f"{row['seconds']:.0f} s, {row['logins']} logins, {row['more_attempts']} more attempts"
