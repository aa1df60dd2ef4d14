"""Run measurements in rounds: each subject once per round, in random order, and report medians."""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dev.benchmarks import environment

Figures = Mapping[str, float]

#: Seconds after which a measured process counts as hanging.
TIMEOUT = 900


@dataclass(frozen=True)
class Plan:
    """How much to measure.

    :param quick: use small sizes, which only show that everything works.
    :param seed: seed for shuffling the subjects and of the simulated builds.
    :param folder: for files that are written during measurements.
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
    """A limit for a figure.

    :param what: what is measured, as text.
    :param limit: the highest value that meets the target.
    :param measured: the measured value.
    :param unit: unit of both; ``x`` for a ratio.
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
    """The result of one benchmark.

    :param name: the marker of the table in the documentation.
    :param title: heading of the table.
    :param note: what was measured, and how to read it.
    :param columns: column headings; the first column names the row.
    :param rows: one cell per column; None for what was not measured.
    :param targets: the limits that belong to it.
    """

    name: str
    title: str
    note: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str | float | None]]
    targets: Sequence[Target] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        form: dict[str, Any] = _short({**vars(self), "targets": [target.to_dict() for target in self.targets]})
        return form


def _short(value: Any) -> Any:
    """Return a value with its numbers rounded to four digits."""
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
        """Add the figures of one round."""
        for name, value in figures.items():
            self.values.setdefault(subject, {}).setdefault(name, []).append(value)

    def median(self, subject: str, figure: str) -> float:
        """Return the median of a figure over the rounds."""
        return statistics.median(self.values[subject][figure])

    def total(self, subject: str, figure: str) -> float:
        """Return the sum of a figure over the rounds."""
        return sum(self.values[subject][figure])

    def ratio(self, subject: str, other: str, figure: str) -> float:
        """Return the median of the ratios per round: a slow round slows both subjects."""
        mine, others = self.values[subject][figure], self.values[other][figure]
        return statistics.median(a / b if b else float("inf") for a, b in zip(mine, others, strict=True))


def interleaved(title: str, plan: Plan, subjects: Mapping[str, Callable[[], Figures]]) -> Rounds:
    """Measure each subject once a round.

    :param title: for the progress line.
    :param subjects: a function for each subject that measures it.
    """
    rounds, chance = Rounds(), random.Random(plan.seed)  # noqa: S311  # not a secret
    for number in range(1, plan.rounds + 1):
        for subject in chance.sample(list(subjects), len(subjects)):
            progress(f"{title}: round {number} of {plan.rounds}, {subject} ...")
            rounds.add(subject, subjects[subject]())
    progress("")
    return rounds


def progress(line: str) -> None:
    """Show a progress line; on a terminal it replaces the one before."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{line}")
    elif line:
        sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def run_client(client: str, job: Mapping[str, Any], variables: Mapping[str, str] | None = None) -> dict[str, float]:
    """Run a client of :mod:`dev.benchmarks.clients` and return its figures.

    :param client: name of the module.
    :param job: what it is to do; it reads this as JSON from its standard input.
    :param variables: additional environment variables.
    :raises RuntimeError: if it failed, with the end of its output.
    """
    process = subprocess.run(  # noqa: S603  # the command is this module's own
        [sys.executable, "-m", f"dev.benchmarks.clients.{client}"],
        input=json.dumps(job),
        env={**environment.variables(), **(variables or {})},
        cwd=environment.ROOT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    if process.returncode:
        raise RuntimeError(f"{client} {dict(job)} ended with {process.returncode}:\n{process.stderr[-2000:]}")
    figures: dict[str, float] = json.loads(process.stdout.splitlines()[-1])
    return figures
