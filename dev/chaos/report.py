"""What chaos did and what came of it, for a person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from dev.chaos.evidence import Evidence
from dev.chaos.invariants import Violation
from dev.chaos.kinds import KINDS, Kind
from dev.chaos.nights import Night
from dev.demo.report import requests_by_kind


@dataclass(frozen=True)
class Outcome:
    """All nights and what came of them.

    :param nights: those that were begun in time.
    :param planned: how many were planned.
    :param command: repeats it.
    :param seconds: how long it took.
    """

    nights: Sequence[Night]
    planned: int
    evidence: Evidence
    violations: Sequence[Violation]
    command: str
    seconds: float

    @property
    def injected(self) -> Counter[Kind]:
        """How often each kind took place."""
        return Counter(injury.kind for night in self.nights for injury in night.injuries if injury.done)

    @property
    def survived(self) -> Counter[Kind]:
        """How often it did in a run of which everything holds."""
        hurt = {violation.run_id for violation in self.violations}
        good = [night for night in self.nights if night.plan.run_id not in hurt]
        return Counter(injury.kind for night in good for injury in night.injuries if injury.done)

    @property
    def missed(self) -> list[tuple[str, Kind]]:
        """What was planned and did not take place, with the run."""
        return [
            (night.plan.run_id, kind)
            for night in self.nights
            for kind in night.plan.faults.values()
            if not any(injury.done and injury.kind is kind for injury in night.injuries)
        ]

    @property
    def good(self) -> bool:
        """Whether everything holds."""
        return not self.violations


def text(outcome: Outcome) -> str:
    """Return the report."""
    lines = [*_faults(outcome), "", *_sums(outcome), ""]
    if outcome.missed:
        lines += [
            "Planned, but the moment did not come:",
            *(f"  {run}  {k.step}: {k.text}" for run, k in outcome.missed),
            "",
        ]
    if outcome.violations:
        lines += ["Does not hold:", *(f"  {violation}" for violation in outcome.violations)]
    else:
        lines.append("Everything holds.")
    return "\n".join([*lines, f"Repeat with: {outcome.command}"])


def _faults(outcome: Outcome) -> list[str]:
    injected, survived = outcome.injected, outcome.survived
    width = max(len(kind.text) for kind in KINDS)
    title = f"{'task':<15} {'fault':<{width}} injected survived"
    lines = [
        f"{kind.step:<15} {kind.text:<{width}} {injected[kind]:>8} {survived[kind]:>8}"
        for kind in KINDS
        if injected[kind]
    ]
    total = f"{'all':<15} {'':<{width}} {injected.total():>8} {survived.total():>8}"
    return [title, *lines, total]


def _sums(outcome: Outcome) -> list[str]:
    evidence = outcome.evidence
    states = Counter(run.state for run in evidence.runs)
    endings = Counter(build["status"] for build in evidence.builds)
    tries = Counter(task["try_number"] for run in evidence.runs for task in run.tasks.values() if task["try_number"])
    sent = requests_by_kind(evidence.requests)
    parts = sum(1 for run in evidence.runs if run.folder.exists() for _ in run.folder.glob(".*.part"))
    return [
        f"runs         {len(evidence.runs)} of {outcome.planned}: {_counts(states)}",
        f"tries        {_counts({f'{n} task instances took {t}': n for t, n in sorted(tries.items())}, bare=True)}",
        f"series       {sum(len(run.series['start_build']) for run in evidence.runs)} asked for a build",
        f"builds       {len(evidence.builds)}: {_counts(endings)}",
        f"deployments  {len(evidence.deployments)}",
        f"files        {len(evidence.downloads)} downloads, {parts} pieces left by killed workers",
        f"requests     {len(evidence.requests)}",
        *(f"{count:>16} {kind}" for kind, count in sent.items()),
        f"took         {outcome.seconds:.0f} s",
    ]


def _counts(counts: Counter[str] | dict[str, int], *, bare: bool = False) -> str:
    return ", ".join(name if bare else f"{count} {name}" for name, count in counts.items())
