"""`make chaos`: kill, cut and delay while the nightly chain runs, then check that nothing was lost or done twice."""

from __future__ import annotations

import argparse
import contextlib
import random
import sys
from pathlib import Path

from dev.chaos import report, session
from dev.chaos.field import Field
from dev.chaos.schedule import plan
from dev.stack import interrupts
from dev.stack.airflow import StackError
from dev.stack.emulator import EmulatorError
from dev.stack.interrupts import Interrupted
from dev.stack.lock import AlreadyRunningError, alone
from dev.stack.rest import AirflowApiError
from dev.stack.terminal import Terminal

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".chaos"
RUNS, MINUTES = 24, 10.0
BRIEF_RUNS, BRIEF_MINUTES = 5, 2.5


def main() -> int:
    """Run chaos and return the exit code: 0 if everything holds."""
    options = _options()
    interrupts.raise_once()
    interrupts.follow_make()
    terminal = Terminal()
    try:
        with alone(FOLDER), contextlib.ExitStack() as cleanup:
            return _run(terminal, options, cleanup)
    except Interrupted as interrupted:
        terminal.line()
        return 128 + interrupted.number
    except (AirflowApiError, AlreadyRunningError, EmulatorError, StackError) as error:
        terminal.bad(f"\n{error}")
        return 2


def _run(terminal: Terminal, options: argparse.Namespace, cleanup: contextlib.ExitStack) -> int:
    place = Field(FOLDER, cache=FOLDER / "cache")
    cleanup.callback(place.stop)
    terminal.title(f"Chaos with the seed {options.seed}")
    place.clear()
    place.start()
    terminal.fact("Airflow", place.stack.url)
    terminal.fact("MetaKraftwerk", place.server.control.url)
    terminal.line()
    plans = plan(options.seed, options.runs, brief=options.short)
    outcome = session.spend(place, plans, terminal.change, command=_command(options), seconds=60 * options.minutes)
    terminal.title("Report")
    (terminal.line if outcome.good else terminal.bad)(report.text(outcome))
    return 0 if outcome.good else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m dev.chaos", description=__doc__)
    parser.add_argument("--short", action="store_true", help="few runs, and the most telling kinds of faults only")
    parser.add_argument("--runs", type=int, metavar="N", help=f"runs of the chain ({RUNS}; short {BRIEF_RUNS})")
    parser.add_argument("--seed", type=int, metavar="S", help="what happens to which run follows from it (random)")
    parser.add_argument(
        "--minutes", type=float, metavar="M", help=f"begin no run after so many ({MINUTES:g}; short {BRIEF_MINUTES:g})"
    )
    options = parser.parse_args()
    runs, minutes = (BRIEF_RUNS, BRIEF_MINUTES) if options.short else (RUNS, MINUTES)
    options.runs = runs if options.runs is None else options.runs
    options.minutes = minutes if options.minutes is None else options.minutes
    options.seed = random.randrange(10_000) if options.seed is None else options.seed  # noqa: S311 - a game
    return options


def _command(options: argparse.Namespace) -> str:
    short = " --short" if options.short else ""
    return f"python -m dev.chaos{short} --runs {options.runs} --seed {options.seed} --minutes {options.minutes:g}"


if __name__ == "__main__":
    sys.exit(main())
