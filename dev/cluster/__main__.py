"""`make cluster`: many chains, and faults, on Celery, PostgreSQL and Redis; nothing may be lost or done twice."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
from datetime import date
from pathlib import Path
from typing import Any

from dev.benchmarks.machine import describe
from dev.benchmarks.servers.certificates import Authority
from dev.cluster import chains, logins, night, report, scenarios
from dev.cluster.chains import Chain
from dev.cluster.faults import FAULTS
from dev.cluster.scenarios import ScenarioError
from dev.cluster.site import Site
from dev.cluster.waits import Waits
from dev.stack import interrupts
from dev.stack.airflow import StackError
from dev.stack.cluster import missing_programs
from dev.stack.emulator import EmulatorError
from dev.stack.interrupts import Interrupted
from dev.stack.lock import AlreadyRunningError, locked
from dev.stack.redis import RedisError
from dev.stack.rest import AirflowApiError
from dev.stack.terminal import Terminal

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".cluster"
PAGE = ROOT / "docs" / "evidence" / "cluster.md"
#: Mapped chains, and waits that last through all faults.
LONG, SHORT = (150, 50), (10, 8)
#: DAG runs at the same time.
RUNS = 50
#: How long a build takes: longer than its wait needs to be deferred while many others start; and in the short form.
BUILD_SECONDS = (60.0, 20.0)
#: Waits that end during each fault.
ENDING = 2
#: DAG runs for the comparison of waits with and without a worker.
FEW = 6
#: Runs of each DAG whose latency is compared.
NIGHT_RUNS = 8
IDLE_SECONDS = 20.0


def main() -> int:
    """Run the cluster and return the exit code: 0 if everything holds."""
    parser = argparse.ArgumentParser(prog="python -m dev.cluster", description=__doc__)
    parser.add_argument("--short", action="store_true", help="few chains, two faults, no report page")
    parser.add_argument("--all-faults", action="store_true", help="all faults, also in the short form")
    parser.add_argument(
        "--local", action="store_true", help="only the latency of a night, on one machine with the LocalExecutor"
    )
    parser.add_argument("--mapped", type=int, metavar="N", help=f"mapped chains ({LONG[0]}; short {SHORT[0]})")
    parser.add_argument("--runs", type=int, default=RUNS, metavar="N", help=f"DAG runs at the same time ({RUNS})")
    parser.add_argument(
        "--waits", type=int, metavar="N", help=f"waits that last through all faults ({LONG[1]}; short {SHORT[1]})"
    )
    options = parser.parse_args()
    interrupts.raise_once()
    interrupts.stop_with_make()
    terminal = Terminal()
    if missing := missing_programs():
        terminal.line(f"Skipped: {' and '.join(missing)} must be installed for a cluster.")
        return 0
    try:
        with locked(FOLDER), contextlib.ExitStack() as cleanup:
            return (_run_local if options.local else _run)(terminal, cleanup, options)
    except Interrupted as interrupted:
        terminal.line()
        return 128 + interrupted.number
    except (AirflowApiError, AlreadyRunningError, EmulatorError, RedisError, ScenarioError, StackError) as error:
        terminal.bad(f"\n{error}")
        return 2


def _run(terminal: Terminal, cleanup: contextlib.ExitStack, options: argparse.Namespace) -> int:
    short: bool = options.short
    began, machine = time.monotonic(), describe()

    def say(text: str) -> None:
        terminal.line(f"{time.monotonic() - began:8.1f} s  {text}")

    variables: dict[str, str] = {}
    if not short:
        server, variables = cleanup.enter_context(night.serve(Authority(FOLDER / "certificates")))
    site = Site(FOLDER, variables, build_seconds=BUILD_SECONDS[short])
    cleanup.callback(site.stop)
    terminal.title("Airflow with two Celery workers, two triggerers, PostgreSQL and Redis")
    site.start()
    say(f"all components are healthy: {site.stack.url}")
    mapped, waits = SHORT if short else LONG
    mapped, waits = (
        default if given is None else given for default, given in ((mapped, options.mapped), (waits, options.waits))
    )
    runs: int = options.runs
    figures: dict[str, Any] = {"scenarios": [], "build_seconds": site.build_seconds}
    # Also those of a run that does not get to its end.
    cleanup.callback(lambda: (FOLDER / "figures.json").write_text(json.dumps(figures, indent=1)))
    all_chains: list[Chain] = []

    def run(name: str, dag_id: str, run_ids: list[str], count: int = 1) -> None:
        found, summary = scenarios.run(site, name, dag_id, run_ids, count)
        all_chains.extend(found)
        figures["scenarios"].append(summary)
        say(report.scenario_line(summary))

    run("one chain", "cluster_chain", ["one"])
    if not short:
        figures["idle"] = scenarios.idle(site, IDLE_SECONDS)
        run(f"{FEW} DAG runs, waits in the triggerer only", "cluster_chain_in_triggerer", _names("triggerer", FEW))
        run(f"{FEW} DAG runs", "cluster_chain", _names("few", FEW))
        run(f"{runs} DAG runs at the same time", "cluster_chain", _names("run", runs))
    run(f"{mapped} mapped chains at the same time", "cluster_mapped", ["mapped"], mapped)
    if not short:
        figures["night"] = night.measure(site, server, NIGHT_RUNS)
        for row in figures["night"]:
            say(report.night_line(row))
    faults = [fault for fault in FAULTS if fault.short or not short or options.all_faults]
    faulted = Waits(site, faults, say, count=waits, ending=ENDING)
    all_chains.extend(faulted.run())
    figures["faults"] = faulted.rows
    evidence = chains.collect(site, all_chains)
    violations = [*chains.check(evidence), *faulted.violations]
    figures |= {
        "chains": len(all_chains),
        "builds": len(evidence.builds),
        "deployments": len(evidence.deployments),
        "requests": len(evidence.requests),
        "violations": len(violations),
        "seconds": round(time.monotonic() - began),
    }
    if not short:
        figures |= {"login": logins.measure(site), "machine": machine, "versions": report.versions()}
        figures["date"] = date.today().isoformat()
    terminal.title("Report")
    (terminal.bad if violations else terminal.line)(report.text(figures, violations))
    if not short and not violations:
        report.write(PAGE, {**figures, "night_local": report.read(PAGE).get("night_local")})
    return 1 if violations else 0


def _run_local(terminal: Terminal, cleanup: contextlib.ExitStack, _: argparse.Namespace) -> int:
    server, variables = cleanup.enter_context(night.serve(Authority(FOLDER / "certificates")))
    site = Site(FOLDER, variables, build_seconds=BUILD_SECONDS[True], celery=False)
    cleanup.callback(site.stop)
    terminal.title("Airflow with the LocalExecutor and one triggerer")
    site.start()
    rows = night.measure(site, server, NIGHT_RUNS)
    for row in rows:
        terminal.line(report.night_line(row))
    report.write(PAGE, {**report.read(PAGE), "night_local": {"date": date.today().isoformat(), "rows": rows}})
    return 0


def _names(prefix: str, count: int) -> list[str]:
    return [f"{prefix}-{number:02d}" for number in range(count)]


if __name__ == "__main__":
    sys.exit(main())
