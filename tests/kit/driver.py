"""The driver of flows in tests: it does the steps that a test wants to control."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from mkw_airflow_provider.client.flows import Exclusive, Flow

T = TypeVar("T")


def drive(flow: Flow[T], do: Callable[[Any], Any]) -> T:
    """Run a flow to its end.

    :param do: does one step, returns its outcome or raises its failure.
    :return: what the flow returns.
    """
    try:
        step = next(do_some(flow, do))
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    raise AssertionError(f"{step} was not expected")


def do_some(flow: Flow[T], do: Callable[[Any], Any]) -> Flow[T]:
    """Return a flow of the steps that are left to its transport.

    :param do: as for :func:`drive`; it returns ``NotImplemented`` for a step that the transport does.
    """
    outcome: Any = None
    failure: Exception | None = None
    while True:
        try:
            step: Any = flow.send(outcome) if failure is None else flow.throw(failure)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        try:
            outcome, failure = do(step), None
            if outcome is NotImplemented:
                outcome = (
                    yield Exclusive(step.key, do_some(step.flow, do), step.timeout)
                    if isinstance(step, Exclusive)
                    else step
                )
        except Exception as error:  # whatever it is, the flow gets it
            outcome, failure = None, error
