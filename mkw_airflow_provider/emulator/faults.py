"""Faults: which requests are answered wrongly, and how often."""

from __future__ import annotations

import fnmatch
import time
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from mkw_airflow_provider.emulator.effects import AnyAction


class FaultOrder(BaseModel):
    """
    A fault as the control plane takes it.

    ``method``: an HTTP method, or ``*``. ``path``: a glob on the path; ``*`` also matches slashes.
    ``skip``: let so many matching requests pass first. ``times``: act on so many requests; null without limit;
    left out, once, or without limit where ``seconds`` is given. ``seconds``: act for so long from the first hit on;
    null without limit.
    """

    model_config = ConfigDict(extra="forbid")

    method: str = "*"
    path: str = "*"
    skip: Annotated[int, Field(ge=0)] = 0
    times: Annotated[int, Field(ge=1)] | None = None
    seconds: Annotated[float, Field(ge=0)] | None = None
    action: AnyAction


class Fault:
    """
    A fault that is set, with its count of hits.

    :param fault_id: its number.
    :param order: what was asked for.
    """

    def __init__(self, fault_id: int, order: FaultOrder) -> None:
        self.id = fault_id
        self.order = order
        once = "times" not in order.model_fields_set and order.seconds is None
        self.times = 1 if once else order.times
        self.matched = 0
        self.hits = 0
        self._first_hit: float | None = None

    def hit(self, method: str, path: str) -> bool:
        """Whether the fault acts on this request; counts it."""
        order = self.order
        if order.method not in ("*", method) or not fnmatch.fnmatchcase(path, order.path):
            return False
        self.matched += 1
        if self.matched <= order.skip or (self.times is not None and self.hits >= self.times):
            return False
        moment = time.monotonic()
        if self._first_hit is None:
            self._first_hit = moment
        elif order.seconds is not None and moment - self._first_hit > order.seconds:
            return False
        self.hits += 1
        return True

    def to_dict(self) -> dict[str, Any]:
        """The fault as set, with its id and its hits so far."""
        order = self.order.model_dump() | {"times": self.times}
        return {"id": self.id, **order, "matched": self.matched, "hits": self.hits}


class Faults:
    """All faults that are set. The first one that acts on a request wins."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._set = 0

    def add(self, order: FaultOrder) -> Fault:
        """Set a fault after those already set."""
        self._set += 1
        fault = Fault(self._set, order)
        self._faults.append(fault)
        return fault

    def hit(self, method: str, path: str) -> Fault | None:
        """The fault that acts on this request, or None."""
        return next((fault for fault in self._faults if fault.hit(method, path)), None)

    def to_list(self) -> list[dict[str, Any]]:
        """All faults, in the order in which they are tried."""
        return [fault.to_dict() for fault in self._faults]

    def clear(self) -> None:
        """Remove all faults."""
        self._faults.clear()
