"""What happens to which night: all of it follows from a seed."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from chaos.kinds import KINDS, STEPS, Kind

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
    :param faults: by step.
    """

    number: int
    run_id: str
    ending: str
    faults: Mapping[str, Kind] = field(hash=False)


def plan(seed: int, runs: int, *, brief: bool = False) -> list[Plan]:
    """Deal the kinds of faults out to so many nights.

    Each kind is dealt once, as long as there are nights; then nights without a fault at a step may get another.

    :param seed: the same seed gives the same plan.
    :param brief: deal the kinds of the short form only.
    """
    chance = random.Random(seed)  # noqa: S311 - a game, no secret
    endings = _endings(chance, runs)
    faults: list[dict[str, Kind]] = [{} for _ in range(runs)]
    for step in STEPS:
        kinds = [kind for kind in KINDS if kind.step == step and (kind.brief or not brief)]
        # A build that does not finish has no files and no deployment.
        reach_it = [n for n in range(runs) if endings[n] == "FINISHED" or step in STEPS[:1]]
        _deal(chance, step, kinds, reach_it, faults)
    return [Plan(n + 1, f"chaos-{n + 1:02d}", endings[n], faults[n]) for n in range(runs)]


def _endings(chance: random.Random, runs: int) -> list[str]:
    each = runs // EACH_BAD_END
    endings = ["FAILED"] * each + ["CANCELED"] * each
    endings += ["FINISHED"] * (runs - len(endings))
    chance.shuffle(endings)
    return endings


def _deal(
    chance: random.Random, step: str, kinds: Sequence[Kind], nights: Sequence[int], faults: list[dict[str, Kind]]
) -> None:
    kinds, nights = list(kinds), list(nights)
    chance.shuffle(kinds)
    chance.shuffle(nights)
    gentle = [kind for kind in kinds if kind.kills is None]
    for place, night in enumerate(nights):
        if place < len(kinds):
            faults[night][step] = kinds[place]
        elif gentle and chance.random() < SECOND_HELPING:
            faults[night][step] = chance.choice(gentle)
