"""What happens to which night: all of it follows from a seed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from dev.chaos.kinds import AFTERWARDS, KINDS, START_AGAIN, STEPS, Kind

#: Of the nights that have no fault at a step yet, this share gets one that kills nothing.
SECOND_HELPING = 0.3
#: One night in so many has a build that fails by itself, and one a build that a person cancels.
EACH_BAD_END = 10


@dataclass(frozen=True)
class Plan:
    """One night: a run of the chain and its faults.

    :param number: from 1.
    :param run_id: of the DAG run.
    :param ending: how its build is to end: FINISHED, FAILED or CANCELED.
    :param faults: by step, or `AFTERWARDS`.
    """

    number: int
    run_id: str
    ending: str
    faults: dict[str, Kind] = field(hash=False)

    @property
    def waits(self) -> bool:
        """Whether `start_build` waits for its build itself, so that `wait_for_build` has nothing to wait for."""
        return any(kind.waits for kind in self.faults.values())


def plan(seed: int, runs: int, *, brief: bool = False) -> list[Plan]:
    """Deal the kinds of faults out to so many nights.

    Each kind is dealt once, as long as there are nights; then nights without a fault at a step may get another.

    :param seed: the same seed gives the same plan.
    :param brief: deal the kinds of the short form only.
    """
    chance = random.Random(seed)  # noqa: S311 - a game, no secret
    endings = _endings(chance, runs)
    nights = [Plan(n + 1, f"chaos-{n + 1:02d}", endings[n], {}) for n in range(runs)]
    # A build that does not finish has no files and no deployment.
    good = [night for night in nights if night.ending == "FINISHED"]
    kinds = [kind for kind in KINDS if kind.brief or not brief]
    _deal(chance, [kind for kind in kinds if kind.waits], good)
    _deal(chance, [kind for kind in kinds if kind.step == "start_build" and not kind.waits], nights)
    _deal(chance, [kind for kind in kinds if kind.step == "wait_for_build"], [n for n in good if not n.waits])
    for step in (*STEPS[2:], AFTERWARDS):
        _deal(chance, [kind for kind in kinds if kind.step == step], good)
    for night in nights:
        if night not in good:
            # What a person does next morning.
            night.faults[AFTERWARDS] = START_AGAIN
    return nights


def _endings(chance: random.Random, runs: int) -> list[str]:
    each = runs // EACH_BAD_END
    endings = ["FAILED"] * each + ["CANCELED"] * each
    endings += ["FINISHED"] * (runs - len(endings))
    chance.shuffle(endings)
    return endings


def _deal(chance: random.Random, kinds: Sequence[Kind], nights: Sequence[Plan]) -> None:
    """Deal the kinds of one step out to the nights that have no fault at it yet."""
    step = kinds[0].step
    kinds = chance.sample(kinds, len(kinds))
    nights = [night for night in chance.sample(nights, len(nights)) if step not in night.faults]
    gentle = [kind for kind in kinds if not kind.strikes]
    for place, night in enumerate(nights):
        if place < len(kinds):
            night.faults[step] = kinds[place]
        elif gentle and chance.random() < SECOND_HELPING:
            night.faults[step] = chance.choice(gentle)
