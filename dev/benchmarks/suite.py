"""Run all benchmarks inside their environment, print and save the results."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from dev.benchmarks import (
    chain,
    detection,
    downloads,
    environment,
    imports,
    machine,
    polling,
    render,
    tables,
    waiting,
    warehouse,
    worker_time,
)
from dev.benchmarks.harness import Plan, Table
from dev.benchmarks.servers.certificates import Authority

NAMES = ("imports", "chain", "downloads", "polling", "waiters", "waiting", "detection", "worker_time", "warehouse")
SEED = 20_261_122
#: Twice the bytes that the largest download takes.
MEMORY_NEEDED = 2 * 1024**3


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmarks that the command line names.

    :return: 0 if all of them ran, whether or not they met their targets.
    """
    parser = argparse.ArgumentParser(prog="python -m dev.benchmarks", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="small sizes and one round, only to see that everything works"
    )
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES, metavar="NAME", help=", ".join(NAMES))
    parser.add_argument(
        "--seed", type=int, default=SEED, help="seed for shuffling and for simulated builds (%(default)s)"
    )
    options = parser.parse_args(arguments)
    return _measure(quick=options.quick, only=options.only, seed=options.seed)


def _measure(*, quick: bool, only: Sequence[str], seed: int) -> int:
    plan = Plan(quick=quick, seed=seed, folder=_folder())
    began = time.monotonic()
    results: dict[str, Any] = {
        "machine": machine.describe(),
        "versions": machine.versions(),
        "date": datetime.now(timezone.utc).date().isoformat(),
        "seed": seed,
        "quick": quick,
        "rounds": plan.rounds,
        "tables": [],
    }
    failed = []
    try:
        for name, benchmark in _benchmarks().items():
            if name not in only:
                continue
            try:
                found = [{**table.to_dict(), "date": results["date"]} for table in benchmark(plan)]
            except Exception:  # the other benchmarks must not be lost
                failed.append(name)
                sys.stderr.write(f"\n{name} failed:\n{traceback.format_exc()}")
                continue
            results["tables"] += found
            for table in found:
                sys.stdout.write(f"\n{tables.as_text(table)}")
                sys.stdout.flush()
    finally:
        shutil.rmtree(plan.folder, ignore_errors=True)
    results["minutes"] = round((time.monotonic() - began) / 60, 1)
    _save(results, quick=quick)
    return 1 if failed else 0


def merged(known: Sequence[dict[str, Any]], found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return tables in the sequence of the known ones, with those that were measured again in their place."""
    tables_by_name = {table["name"]: table for table in (*known, *found)}
    return list(tables_by_name.values())


def _folder() -> Path:
    """Make a folder for files that are written during measurements: in memory, if there is enough of it."""
    memory = Path("/dev/shm")  # noqa: S108  # only used for a private folder below it
    is_large_enough = memory.is_dir() and shutil.disk_usage(memory).free > MEMORY_NEEDED
    return Path(tempfile.mkdtemp(prefix="mkw-benchmarks-", dir=memory if is_large_enough else None))


def _benchmarks() -> dict[str, Callable[[Plan], list[Table]]]:
    authority = Authority(environment.HOME / "authority")
    return {
        "imports": imports.run,
        "chain": chain.run,
        "downloads": downloads.run,
        "polling": lambda plan: polling.run(plan, authority),
        "waiters": lambda plan: polling.many(plan, authority),
        "waiting": lambda plan: waiting.run(plan, authority),
        "detection": detection.run,
        "worker_time": lambda plan: worker_time.run(plan, authority),
        "warehouse": warehouse.run,
    }


def _save(results: dict[str, Any], *, quick: bool) -> None:
    """Write the results. In what the documentation shows, they replace the tables of the same names, unless quick."""
    path = environment.HOME / "results.json" if quick else render.RESULTS
    shown = results
    if not quick and path.exists():
        shown = {**results, "tables": merged(json.loads(path.read_text())["tables"], results["tables"])}
    path.write_text(json.dumps(shown, indent=1) + "\n")
    if not quick:
        render.main()
    missed = [target["what"] for table in results["tables"] for target in table["targets"] if not target["reached"]]
    sys.stdout.write(f"\n{results['minutes']} minutes; targets missed: {', '.join(missed) or 'none'}.\n")
    sys.stdout.write(f"Results: {path.relative_to(environment.ROOT)}\n")
