"""`make chaos`: inject faults while the nightly chain runs, then check that nothing was lost or done twice."""

from __future__ import annotations

import argparse
import contextlib
import random
import sys
from pathlib import Path

from dev.chaos import report
from dev.chaos.environment import Environment
from dev.chaos.plan import make_plan
from dev.chaos.runner import run_all
from dev.stack import interrupts
from dev.stack.airflow import StackError
from dev.stack.emulator import EmulatorError
from dev.stack.interrupts import Interrupted
from dev.stack.lock import AlreadyRunningError, locked
from dev.stack.rest import AirflowApiError
from dev.stack.terminal import Terminal

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".chaos"
RUNS, MINUTES = 28, 12.0
SHORT_RUNS, SHORT_MINUTES = 5, 2.5


def main() -> int:
    """Run chaos and return the exit code: 0 if everything holds."""
    options = _options()
    interrupts.raise_once()
    interrupts.stop_with_make()
    terminal = Terminal()
    try:
        with locked(FOLDER), contextlib.ExitStack() as cleanup:
            return _run(terminal, options, cleanup)
    except Interrupted as interrupted:
        terminal.line()
        return 128 + interrupted.number
    except (AirflowApiError, AlreadyRunningError, EmulatorError, StackError) as error:
        terminal.bad(f"\n{error}")
        return 2


def _run(terminal: Terminal, options: argparse.Namespace, cleanup: contextlib.ExitStack) -> int:
    environment = Environment(FOLDER, cache=FOLDER / "cache")
    cleanup.callback(environment.stop)
    terminal.title(f"Chaos with the seed {options.seed}")
    environment.delete_results()
    environment.start()
    terminal.fact("Airflow", environment.stack.url)
    terminal.fact("MetaKraftwerk", environment.emulator.control.url)
    terminal.line()
    plans = make_plan(options.seed, options.runs, short=options.short)
    command, seconds = _command(options), 60 * options.minutes
    outcome = run_all(environment, plans, terminal.change, command=command, seconds=seconds)
    terminal.title("Report")
    (terminal.line if outcome.passed else terminal.bad)(report.text(outcome))
    return 0 if outcome.passed else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m dev.chaos", description=__doc__)
    parser.add_argument("--short", action="store_true", help="few runs, and only the most important faults")
    parser.add_argument("--runs", type=int, metavar="N", help=f"runs of the chain ({RUNS}; short {SHORT_RUNS})")
    parser.add_argument("--seed", type=int, metavar="S", help="decides which fault hits which run (random)")
    parser.add_argument(
        "--minutes",
        type=float,
        metavar="M",
        help=f"start no run after M minutes ({MINUTES:g}; short {SHORT_MINUTES:g})",
    )
    options = parser.parse_args()
    runs, minutes = (SHORT_RUNS, SHORT_MINUTES) if options.short else (RUNS, MINUTES)
    options.runs = runs if options.runs is None else options.runs
    options.minutes = minutes if options.minutes is None else options.minutes
    options.seed = random.randrange(10_000) if options.seed is None else options.seed  # noqa: S311 - not a secret
    return options


def _command(options: argparse.Namespace) -> str:
    short = " --short" if options.short else ""
    return f"python -m dev.chaos{short} --runs {options.runs} --seed {options.seed} --minutes {options.minutes:g}"


if __name__ == "__main__":
    sys.exit(main())
