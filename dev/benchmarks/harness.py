"""Side by side: every subject once a round, in an order drawn for each round, and the medians of what they measured."""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dev.benchmarks import environment

Figures = Mapping[str, float]

#: Seconds after which a measured process counts as hanging.
TIMEOUT = 900


@dataclass(frozen=True)
class Plan:
    """How much to measure.

    :param quick: everything in small sizes: to see that it works, not to learn anything.
    :param seed: of the order of the subjects, and of the simulated builds.
    :param folder: for files that are written while measuring.
    """

    quick: bool
    seed: int
    folder: Path

    @property
    def rounds(self) -> int:
        """How often each subject is measured."""
        return 1 if self.quick else 5

    def size(self, full: int, quick: int) -> int:
        """Return one of two sizes."""
        return quick if self.quick else full


@dataclass(frozen=True)
class Target:
    """A figure that is to be reached.

    :param what: in words.
    :param limit: the highest value that reaches it.
    :param measured: the value.
    :param unit: of both; ``x`` for a ratio.
    """

    what: str
    limit: float
    measured: float
    unit: str = "x"

    @property
    def reached(self) -> bool:
        """Whether the measured value is within the limit."""
        return self.measured <= self.limit

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {**vars(self), "reached": self.reached}


@dataclass
class Table:
    """What one benchmark has found.

    :param name: by which the documentation refers to it.
    :param title: above it.
    :param note: what was measured, and how to read it.
    :param columns: the first one names the row.
    :param rows: as many cells as columns each; None for what was not measured.
    :param targets: what was to be reached.
    :param rounds: the figures of each round, for whoever wants to reckon differently.
    """

    name: str
    title: str
    note: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str | float | None]]
    targets: Sequence[Target] = ()
    rounds: Mapping[str, Mapping[str, Sequence[float]]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        form: dict[str, Any] = _short({**vars(self), "targets": [target.to_dict() for target in self.targets]})
        return form


def _short(value: Any) -> Any:
    """Return a value with its numbers cut to what was measured, not what a float can hold."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, Mapping):
        return {name: _short(item) for name, item in value.items()}
    return [_short(item) for item in value] if isinstance(value, (list, tuple)) else value


class Rounds:
    """The figures of each subject in each round."""

    def __init__(self) -> None:
        self.values: dict[str, dict[str, list[float]]] = {}

    def add(self, subject: str, figures: Figures) -> None:
        """Take the figures of one round."""
        for name, value in figures.items():
            self.values.setdefault(subject, {}).setdefault(name, []).append(value)

    def median(self, subject: str, figure: str) -> float:
        """Return the median of a figure over the rounds."""
        return statistics.median(self.values[subject][figure])

    def total(self, subject: str, figure: str) -> float:
        """Return the sum of a figure over the rounds."""
        return sum(self.values[subject][figure])

    def ratio(self, subject: str, other: str, figure: str) -> float:
        """Return the median of the ratios of each round: what slows one round down slows both."""
        mine, others = self.values[subject][figure], self.values[other][figure]
        return statistics.median(a / b if b else float("inf") for a, b in zip(mine, others, strict=True))


def interleaved(title: str, plan: Plan, subjects: Mapping[str, Callable[[], Figures]]) -> Rounds:
    """Measure each subject once a round.

    :param title: for the line that says how far it is.
    :param subjects: what measures each.
    """
    rounds, chance = Rounds(), random.Random(plan.seed)  # noqa: S311  # nothing to guess here
    for number in range(1, plan.rounds + 1):
        for subject in chance.sample(list(subjects), len(subjects)):
            progress(f"{title}: round {number} of {plan.rounds}, {subject} ...")
            rounds.add(subject, subjects[subject]())
    progress("")
    return rounds


def progress(line: str) -> None:
    """Show how far it is: on a terminal over the line that showed it before, elsewhere below."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{line}")
    elif line:
        sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def measured(client: str, order: Mapping[str, Any], variables: Mapping[str, str] | None = None) -> dict[str, float]:
    """Run a client of :mod:`dev.benchmarks.clients` and return its figures.

    :param client: its name.
    :param order: what it is to do.
    :param variables: of its environment, besides the usual ones.
    :raises RuntimeError: with the end of what it said, if it failed.
    """
    process = subprocess.run(  # noqa: S603  # the command is this module's own
        [sys.executable, "-m", f"dev.benchmarks.clients.{client}"],
        input=json.dumps(order),
        env={**environment.variables(), **(variables or {})},
        cwd=environment.ROOT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    if process.returncode:
        raise RuntimeError(f"{client} {dict(order)} ended with {process.returncode}:\n{process.stderr[-2000:]}")
    figures: dict[str, float] = json.loads(process.stdout.splitlines()[-1])
    return figures
