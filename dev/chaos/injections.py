"""The faults of one run: added to the emulator, counted, and removed when their step has ended."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dev.chaos.emulator import ChaosEmulator, PendingFault
from dev.chaos.fault_catalog import Fault


@dataclass
class Injection:
    """A fault of a plan and whether it took place.

    :param pending: the fault at the emulator, if there is one.
    :param done: whether it took place; a kill may come too late.
    """

    fault: Fault
    pending: PendingFault | None = None
    done: bool = False


class Injections:
    """All faults of a run, in the sequence of their steps."""

    def __init__(self, emulator: ChaosEmulator) -> None:
        self._emulator = emulator
        self._injections: list[Injection] = []

    def __iter__(self) -> Iterator[Injection]:
        return iter(self._injections)

    def add(self, fault: Fault, method: str, path: str) -> None:
        """Add a fault; the emulator gets it if it changes a response."""
        pending = None
        if fault.response is not None:
            pending = self._emulator.add_fault(method, path, fault.response, skip=fault.skip, times=fault.times)
        self._injections.append(Injection(fault, pending))

    def add_done(self, fault: Fault) -> None:
        """Add a fault that has taken place."""
        self._injections.append(Injection(fault, done=True))

    def find(self, step: str) -> Injection | None:
        """Return the fault of a step, or None."""
        return next((injection for injection in self._injections if injection.fault.step == step), None)

    def remove(self, step: str) -> None:
        """Remove the fault of a step that has ended: the next task may send the same request."""
        injection = self.find(step)
        if injection is not None and injection.pending is not None:
            self._emulator.remove_fault(injection.pending)

    def count(self) -> None:
        """Note which of the changed responses were sent."""
        for injection in self._injections:
            if injection.pending is not None and not injection.fault.needs_moment:
                injection.done = self._emulator.hits(injection.pending) > 0
