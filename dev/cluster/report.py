"""The report of a cluster: lines for the terminal, and the tables of its page in the docs."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from dev.benchmarks.render import fill
from dev.benchmarks.tables import markdown
from dev.chaos.invariants import Violation
from dev.cluster import figures as parts_of
from dev.cluster.night import INTERVAL
from dev.cluster.night import PARTS as NIGHT_PARTS

PACKAGES = (
    "mkw-airflow-provider",
    "apache-airflow",
    "apache-airflow-providers-celery",
    "apache-airflow-providers-dbt-cloud",
)
Figures = Mapping[str, Any]
#: Kinds of processes that are part of Airflow's setup; the emulator is not.
_OURS = ("worker", "scheduler", "api-server", "triggerer", "dag-processor", "PostgreSQL", "Redis")


def scenario_line(summary: Figures) -> str:
    """Return a scenario in one line."""
    delay = summary["delay"]
    return (
        f"{summary['scenario']}: {summary['seconds']:.0f} s, {summary['chains_per_minute']} chains per minute, "
        f"{_cpu(summary):.1f} s of CPU each; waits end {delay['p50']} s after their builds (p95 {delay['p95']} s)"
    )


def night_line(row: Figures) -> str:
    """Return the latency of one DAG in one line."""
    return f"{row['tasks']}: the next task starts {row['all']['p50']} s after the build (p95 {row['all']['p95']} s)"


def text(figures: Figures, violations: Sequence[Violation]) -> str:
    """Return the report for the terminal."""
    lines = [f"{what:<12} {figures[what]}" for what in ("chains", "builds", "deployments", "requests")]
    lines += [f"fault        {row['fault']}: {_costs(row)}" for row in figures["faults"]]
    lines += [f"took         {figures['seconds']} s", ""]
    lines += ["Violations:", *(f"  {violation}" for violation in violations)] if violations else ["No violations."]
    return "\n".join(lines)


def read(page: Path) -> dict[str, Any]:
    """Return the figures next to the page."""
    figures: dict[str, Any] = json.loads(page.with_suffix(".json").read_text())
    return figures


def write(page: Path, figures: Figures) -> None:
    """Write the figures as JSON next to the page, and as tables between its markers."""
    page.with_suffix(".json").write_text(json.dumps(figures, indent=1) + "\n")
    page.write_text(fill(page.read_text("utf-8"), blocks(figures)), "utf-8")


def versions() -> dict[str, str]:
    """Return the versions of what was measured; dbt Cloud's provider needs Python 3.11."""
    found = {}
    for package in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def blocks(figures: Figures) -> dict[str, str]:
    """Return the Markdown for each marker of the page."""
    scenarios = figures["scenarios"]
    largest = max(scenarios, key=lambda summary: int(summary["chains"]))
    net = _net(largest, figures["idle"])
    return {
        "machine": _machine(figures),
        "scenarios": markdown(
            ("scenario", "s", "chains per minute", "CPU s per chain", "worker starts", "logins", "polls"),
            [
                [
                    *(summary[name] for name in ("scenario", "seconds", "chains_per_minute")),
                    sum(_net(summary, figures["idle"]).values()),
                    *(summary[f"{name}_per_chain"] for name in ("worker_starts", "logins", "polls")),
                ]
                for summary in scenarios
            ],
        ),
        "processes": markdown(
            ("processes", "CPU s per chain", "idle, % of a core", "MiB"),
            [[kind, net[kind], 100 * figures["idle"][kind], largest["memory_mib"][kind]] for kind in _OURS],
        ),
        "waits": markdown(
            ("scenario", "wait, s", "Celery slot held, s", "p50 after the build, s", "p95, s"),
            [
                [
                    *(summary[name] for name in ("scenario", "wait_seconds", "slot_seconds_per_wait")),
                    *(summary["delay"][name] for name in ("p50", "p95")),
                ]
                for summary in scenarios
            ],
        ),
        "parts": _parts(next(summary for summary in scenarios if summary["scenario"].endswith("DAG runs"))),
        "night": _night(figures["night"]),
        "night-local": _night_local(figures.get("night_local")),
        "faults": markdown(
            ("fault", "s until all waits continue", "logins", "401", "more attempts", "restarted"),
            [
                [
                    row["fault"],
                    *(row[name] for name in ("seconds", "logins", "refused", "more_attempts")),
                    ", ".join(f"{name} {count}" for name, count in sorted(row["restarts"].items())),
                ]
                for row in figures["faults"]
            ],
        ),
        "login": (
            f"A login takes {figures['login']['milliseconds']} ms with the emulator and costs the task "
            f"{figures['login']['cpu_milliseconds']} ms of CPU time."
        ),
    }


def _machine(figures: Figures) -> str:
    machine = figures["machine"]
    counts = ", ".join(f"{figures[name]} {name}" for name in ("chains", "builds", "deployments", "requests"))
    return markdown(
        ("measured on", figures["date"]),
        [
            ["processor", f"{machine['processor']}, {machine['cores']} cores"],
            ["memory", f"{machine['memory_gib']} GiB"],
            ["load before", str(machine["load_before"])],
            ["Python", machine["python"]],
            *([package, number] for package, number in figures["versions"].items()),
            ["duration of a build", f"{figures['build_seconds']:g} s"],
            ["all in all", f"{counts}; {figures['violations']} violations; {figures['seconds']} s"],
        ],
    )


def _parts(summary: Figures) -> str:
    if not summary["parts"]:
        return "Not measured: in this run, the builds ended before a worker had deferred the waits."
    rows = [[part, *_percentiles(summary["parts"].get(part, {}))] for part in (*parts_of.PARTS, "all")]
    return markdown(("part", "p50, s", "p95, s"), rows)


def _night(rows: Sequence[Figures]) -> str:
    return f"All poll every {INTERVAL:g} s at most; each cell is p50 / p95 in seconds.\n\n" + markdown(
        ("tasks", *NIGHT_PARTS, "all"),
        [[row["tasks"], *(_both(row[part]) for part in (*NIGHT_PARTS, "all"))] for row in rows],
    )


def _night_local(figures: Figures | None) -> str:
    return f"Measured on {figures['date']}. {_night(figures['rows'])}" if figures else "Not measured."


def _percentiles(values: Figures) -> list[float | None]:
    return [values.get("p50"), values.get("p95")]


def _both(values: Figures) -> str:
    return f"{values['p50']:.1f} / {values['p95']:.1f}"


def _cpu(summary: Figures) -> float:
    return float(sum(summary["cpu_per_chain"][kind] for kind in _OURS))


def _net(summary: Figures, idle: Figures) -> dict[str, float]:
    """Return the CPU seconds of a chain by kind, without what the processes use while nothing runs."""
    share = summary["seconds"] / summary["chains"]
    return {kind: max(0.0, summary["cpu_per_chain"][kind] - idle[kind] * share) for kind in _OURS}


def _costs(row: Figures) -> str:
    return f"{row['seconds']:.0f} s, {row['logins']} logins, {row['more_attempts']} more attempts"
