"""The report of a chaos: which faults were injected, and what does not hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dev.chaos.chaos_run import ChaosRun
from dev.chaos.evidence import Evidence
from dev.chaos.fault_catalog import FAULTS, Fault
from dev.chaos.invariants import Violation
from dev.demo.report import requests_by_kind


@dataclass(frozen=True)
class Outcome:
    """All runs and what they left.

    :param runs: those that were started in time.
    :param planned: how many were planned.
    :param command: repeats it.
    :param seconds: how long it took.
    """

    runs: Sequence[ChaosRun]
    planned: int
    evidence: Evidence
    violations: Sequence[Violation]
    command: str
    seconds: float

    @property
    def injected(self) -> Counter[Fault]:
        """How often each fault took place."""
        return _count_done(self.runs)

    @property
    def survived(self) -> Counter[Fault]:
        """How often each fault took place in a run without violations."""
        violated = {violation.run_id for violation in self.violations}
        return _count_done([run for run in self.runs if run.plan.run_id not in violated])

    @property
    def missed(self) -> list[tuple[str, Fault]]:
        """What was planned and did not take place, with the run."""
        return [
            (run.plan.run_id, fault)
            for run in self.runs
            for fault in run.plan.faults.values()
            if not any(injection.done and injection.fault is fault for injection in run.injections)
        ]

    @property
    def passed(self) -> bool:
        """Whether everything holds."""
        return not self.violations


def text(outcome: Outcome) -> str:
    """Return the report."""
    lines = [*_faults(outcome), "", *_totals(outcome), ""]
    if outcome.missed:
        lines += [
            "Planned, but the moment did not come:",
            *(f"  {run}  {fault.step}: {fault.text}" for run, fault in outcome.missed),
            "",
        ]
    if outcome.violations:
        lines += ["Violations:", *(f"  {violation}" for violation in outcome.violations)]
    else:
        lines.append("No violations.")
    return "\n".join([*lines, f"Repeat with: {outcome.command}"])


def _count_done(runs: Sequence[ChaosRun]) -> Counter[Fault]:
    return Counter(injection.fault for run in runs for injection in run.injections if injection.done)


def _faults(outcome: Outcome) -> list[str]:
    injected, survived = outcome.injected, outcome.survived
    width = max(len(fault.text) for fault in FAULTS)
    title = f"{'task':<15} {'fault':<{width}} injected survived"
    lines = [
        f"{fault.step:<15} {fault.text:<{width}} {injected[fault]:>8} {survived[fault]:>8}"
        for fault in FAULTS
        if injected[fault]
    ]
    total = f"{'all':<15} {'':<{width}} {injected.total():>8} {survived.total():>8}"
    return [title, *lines, total]


def _totals(outcome: Outcome) -> list[str]:
    evidence = outcome.evidence
    states = Counter(run.state for run in evidence.runs)
    statuses = Counter(build["status"] for build in evidence.builds)
    attempts = Counter(task["try_number"] for run in evidence.runs for task in run.tasks.values() if task["try_number"])
    sent = requests_by_kind(evidence.requests)
    return [
        f"runs         {len(evidence.runs)} of {outcome.planned}: {_counts(states)}",
        f"attempts     {', '.join(f'{n} task instances took {count}' for count, n in sorted(attempts.items()))}",
        f"builds       {len(evidence.builds)}: {_counts(statuses)}",
        f"deployments  {len(evidence.deployments)}",
        f"files        {len(evidence.downloads)} downloads",
        f"requests     {len(evidence.requests)}",
        *(f"{count:>16} {kind}" for kind, count in sent.items()),
        f"took         {outcome.seconds:.0f} s",
    ]


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())
