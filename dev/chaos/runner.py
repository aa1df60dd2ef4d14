"""All runs of one chaos, several at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait

from dev.chaos import evidence, invariants
from dev.chaos.chaos_run import ChaosRun
from dev.chaos.environment import Environment
from dev.chaos.invariants import Violation
from dev.chaos.plan import RunPlan
from dev.chaos.report import Outcome

#: Runs at the same time; Airflow has as many workers.
CONCURRENT_RUNS = 4

Report = Callable[[float, str, str, str], None]
"""Called for each event: seconds since the beginning, which run, what happened, and details."""


def run_all(
    environment: Environment, plans: Sequence[RunPlan], report: Report, *, command: str, seconds: float
) -> Outcome:
    """Execute the runs and check what they left.

    :param environment: started already.
    :param command: what repeats it, for the report.
    :param seconds: no run is started after this time.
    """
    began = time.monotonic()

    def report_event(run_id: str, event: str, details: str) -> None:
        report(time.monotonic() - began, run_id, event, details)

    started: list[ChaosRun] = []

    def run(chaos_run: ChaosRun) -> None:
        if not environment.stopped.is_set() and time.monotonic() - began < seconds:
            started.append(chaos_run)
            chaos_run.run()
            report_event(chaos_run.plan.run_id, "ended", "")

    environment.runs = [ChaosRun(environment, plan, report_event) for plan in plans]
    with ThreadPoolExecutor(CONCURRENT_RUNS, "chaos-run") as pool:
        try:
            waiting = {pool.submit(run, chaos_run) for chaos_run in environment.runs}
            while waiting:
                done, waiting = wait(waiting, timeout=1.0, return_when=FIRST_EXCEPTION)
                for future in done:
                    future.result()
        except BaseException:
            # Threads that wait for a component to start learn from this that they are to end.
            environment.stop()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    started.sort(key=lambda chaos_run: chaos_run.plan.number)
    # A fault that has not hit anything yet would hit the requests that collect the evidence.
    environment.emulator.control.clear_faults()
    found = evidence.collect(environment, [(each.dag_id, each.plan.run_id, each.clears) for each in started])
    violations = invariants.find_violations(found)
    violations += [
        Violation(each.plan.run_id, "the run did not end in time", environment.stack.home / "logs")
        for each in started
        if each.timed_out
    ]
    return Outcome(started, len(plans), found, violations, command, time.monotonic() - began)
