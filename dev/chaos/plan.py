"""Which fault hits which run; all of it follows from a seed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from dev.chaos.fault_catalog import AFTER_RUN, FAULTS, START_AGAIN, STEPS, Fault

#: Once every fault is assigned, this share of the runs without a fault at a step gets one that kills nothing.
REPEAT_SHARE = 0.3
#: One run in this many has a build that fails, and one has a build that a person cancels.
RUNS_PER_BAD_END = 10


@dataclass(frozen=True)
class RunPlan:
    """One run of the chain and its faults.

    :param number: from 1.
    :param run_id: id of the DAG run.
    :param build_status: how its build is to end: FINISHED, FAILED or CANCELED.
    :param faults: by step, or `AFTER_RUN`.
    """

    number: int
    run_id: str
    build_status: str
    faults: dict[str, Fault] = field(hash=False)

    @property
    def start_waits(self) -> bool:
        """Whether `start_build` waits for its build itself, so that `wait_for_build` has nothing to wait for."""
        return any(fault.start_waits for fault in self.faults.values())


def make_plan(seed: int, runs: int, *, short: bool = False) -> list[RunPlan]:
    """Assign the faults of the catalog to runs.

    Each fault is assigned once, as long as there are runs; then runs without a fault at a step may get another one.

    :param seed: the same seed gives the same plan.
    :param short: assign the faults of the short form only.
    """
    rng = random.Random(seed)  # noqa: S311 - not a secret
    statuses = _build_statuses(rng, runs)
    plans = [RunPlan(n + 1, f"chaos-{n + 1:02d}", statuses[n], {}) for n in range(runs)]
    # A build that does not finish has no files and no deployment.
    finishing = [plan for plan in plans if plan.build_status == "FINISHED"]
    faults = [fault for fault in FAULTS if fault.short or not short]
    _assign(rng, [fault for fault in faults if fault.start_waits], finishing)
    _assign(rng, [fault for fault in faults if fault.step == "start_build" and not fault.start_waits], plans)
    _assign(rng, [fault for fault in faults if fault.step == "wait_for_build"], _without_start_waits(finishing))
    for step in (*STEPS[2:], AFTER_RUN):
        _assign(rng, [fault for fault in faults if fault.step == step], finishing)
    for plan in plans:
        if plan not in finishing:
            # As a person does the next morning.
            plan.faults[AFTER_RUN] = START_AGAIN
    return plans


def _without_start_waits(plans: Sequence[RunPlan]) -> list[RunPlan]:
    return [plan for plan in plans if not plan.start_waits]


def _build_statuses(rng: random.Random, runs: int) -> list[str]:
    count = runs // RUNS_PER_BAD_END
    statuses = ["FAILED"] * count + ["CANCELED"] * count
    statuses += ["FINISHED"] * (runs - len(statuses))
    rng.shuffle(statuses)
    return statuses


def _assign(rng: random.Random, faults: Sequence[Fault], plans: Sequence[RunPlan]) -> None:
    """Assign the faults of one step to the runs that have no fault at it yet."""
    if not faults:
        return
    step = faults[0].step
    faults = rng.sample(faults, len(faults))
    free = [plan for plan in rng.sample(plans, len(plans)) if step not in plan.faults]
    retryable = [fault for fault in faults if not fault.needs_moment and not fault.switches]
    for place, plan in enumerate(free):
        if place < len(faults):
            plan.faults[step] = faults[place]
        elif retryable and rng.random() < REPEAT_SHARE:
            plan.faults[step] = rng.choice(retryable)
