"""`make demo`: run the nightly warehouse on a real Airflow, show what happens, and leave nothing running."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import time
from importlib.metadata import version
from pathlib import Path

from dev.demo import chain, report
from dev.stack import interrupts
from dev.stack.airflow import AirflowStack, StackError
from dev.stack.emulator import EmulatorError, EmulatorProgram
from dev.stack.interrupts import Interrupted
from dev.stack.lock import AlreadyRunningError, locked
from dev.stack.rest import AirflowApiError
from dev.stack.terminal import Terminal

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".demo"
DAG_ID = "metakraftwerk_nightly"
BUILD_SECONDS = 15.0


def main() -> int:
    """Run the demo and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m dev.demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave Airflow running until Ctrl-C")
    keep = parser.parse_args().keep
    interrupts.raise_once()
    interrupts.stop_with_make()
    terminal = Terminal()
    code = 1
    try:
        with locked(FOLDER), contextlib.ExitStack() as cleanup:
            code = demonstrate(terminal, cleanup, keep=keep)
    except Interrupted as interrupted:
        code = 128 + interrupted.number
    except AlreadyRunningError as error:
        terminal.bad(str(error))
        return 1
    except (AirflowApiError, EmulatorError, StackError) as error:
        terminal.bad(f"\n{error}")
    terminal.line(f"Everything has been stopped. Files and logs: {FOLDER}")
    if not keep:
        terminal.line("To explore Airflow's web page: make demo KEEP=1")
    return code


def demonstrate(terminal: Terminal, cleanup: contextlib.ExitStack, *, keep: bool) -> int:
    """Start everything, run the chain and show the result; `cleanup` ends what was started."""
    began = time.monotonic()
    terminal.title("A nightly MetaKraftwerk warehouse on a real Airflow")
    emulator = EmulatorProgram(FOLDER / "metakraftwerk", build_seconds=BUILD_SECONDS)
    cleanup.callback(emulator.stop)
    emulator.start()
    terminal.fact("MetaKraftwerk", f"{emulator.url}, an emulator on this machine")
    # DAGs that assets start need the scheduler's own schedule; the demo itself triggers its DAG.
    schedules = {"AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "True"} if keep else {}
    stack = AirflowStack(
        FOLDER / "airflow",
        dags=ROOT / "example_dags",
        cache=FOLDER / "cache",
        environment={**emulator.connection, "METAKRAFTWERK_RESULTS": str(FOLDER / "results"), **schedules},
    )
    cleanup.callback(stack.stop)
    cleanup.callback(terminal.line, "\nStopping Airflow and the emulator ...")
    airflow = f"Airflow {version('apache-airflow')}"
    terminal.fact(airflow, f"{stack.url}, starting: API server, scheduler, DAG processor, triggerer")
    stack.start()
    terminal.fact("", f"all four healthy after {time.monotonic() - began:.0f} s")
    terminal.title(DAG_ID)
    finished = chain.run(stack.client, emulator.control, DAG_ID, terminal.change)
    if finished.succeeded:
        report.success(terminal, stack.client, emulator.control, finished)
        terminal.good(f"\nThe chain succeeded; everything took {time.monotonic() - began:.0f} s.")
    else:
        report.failure(terminal, stack.client, finished)
        terminal.bad("\nThe chain failed.")
    if keep:
        wait(terminal, report.page(stack.client, finished), stack, emulator.url)
    return 0 if finished.succeeded else 1


def wait(terminal: Terminal, page: str, stack: AirflowStack, control_url: str) -> None:
    """Leave everything running until somebody stops it, which is not an error."""
    terminal.title("Airflow is still running, with its schedules")
    terminal.fact("web page", page)
    terminal.fact("login", f"{stack.user}, password {stack.password}")
    terminal.fact("next", "docs/tutorial.md: trigger the DAG again, change an instance, approve a promotion")
    terminal.fact("emulator", f"{control_url}, see docs/reference/emulator.md for its control calls")
    terminal.fact("to stop it", f"Ctrl-C here, or from elsewhere: kill {os.getpid()}")
    with contextlib.suppress(Interrupted):
        while True:
            signal.pause()


if __name__ == "__main__":
    sys.exit(main())
