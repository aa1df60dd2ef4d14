"""Faults: which requests they hit, and how often."""

from __future__ import annotations

import fnmatch
import time
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from mkw_airflow_provider.emulator.faults.actions import AnyAction


class FaultRequest(BaseModel):
    """A fault as the control plane receives it.

    ``method``: an HTTP method, or ``*``. ``path``: a glob on the path; ``*`` also matches slashes.
    ``skip``: the number of matching requests to let pass first. ``times``: the number of requests to hit; null for no
    limit; if omitted, once, or without limit if ``seconds`` is given. ``seconds``: how long the fault stays active
    from its first hit; null for no limit.
    """

    model_config = ConfigDict(extra="forbid")

    method: str = "*"
    path: str = "*"
    skip: Annotated[int, Field(ge=0)] = 0
    times: Annotated[int, Field(ge=1)] | None = None
    seconds: Annotated[float, Field(ge=0)] | None = None
    action: AnyAction


class Fault:
    """A fault with its count of hits.

    :param fault_id: its number.
    :param request: the fault as it was requested.
    """

    def __init__(self, fault_id: int, request: FaultRequest) -> None:
        self.id = fault_id
        self.request = request
        once = "times" not in request.model_fields_set and request.seconds is None
        self.times = 1 if once else request.times
        self.matched = 0
        self.hits = 0
        self._first_hit: float | None = None

    def matches(self, method: str, path: str) -> bool:
        """Count a request and return whether the fault hits it."""
        request = self.request
        if request.method not in ("*", method) or not fnmatch.fnmatchcase(path, request.path):
            return False
        self.matched += 1
        if self.matched <= request.skip or (self.times is not None and self.hits >= self.times):
            return False
        moment = time.monotonic()
        if self._first_hit is None:
            self._first_hit = moment
        elif request.seconds is not None and moment - self._first_hit > request.seconds:
            return False
        self.hits += 1
        return True

    def to_dict(self) -> dict[str, Any]:
        """Return the fault with its id and its hits so far."""
        request = self.request.model_dump() | {"times": self.times}
        return {"id": self.id, **request, "matched": self.matched, "hits": self.hits}


class Faults:
    """All faults. The first one that hits a request acts on it."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._count = 0

    def add(self, request: FaultRequest) -> Fault:
        """Add a fault after the existing ones."""
        self._count += 1
        fault = Fault(self._count, request)
        self._faults.append(fault)
        return fault

    def find(self, method: str, path: str) -> Fault | None:
        """Return the fault that hits this request, or None."""
        return next((fault for fault in self._faults if fault.matches(method, path)), None)

    def to_list(self) -> list[dict[str, Any]]:
        """Return all faults in the sequence in which they are checked."""
        return [fault.to_dict() for fault in self._faults]

    def remove(self, fault_id: int) -> Fault | None:
        """Remove one fault and return it, or None if it does not exist."""
        fault = next((fault for fault in self._faults if fault.id == fault_id), None)
        if fault is not None:
            self._faults.remove(fault)
        return fault

    def clear(self) -> None:
        """Remove all faults."""
        self._faults.clear()
