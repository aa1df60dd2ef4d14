"""Clocks that run faster, for triggers with long pauses between polls."""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Callable, Coroutine
from functools import partial
from importlib.metadata import version
from typing import Any, TypeAlias

import pytest

from mkw_airflow_provider.client.flows import ApiSession
from mkw_airflow_provider.triggers import watch

#: Older versions log differently and load more by themselves.
NEWEST = pytest.mark.skipif(
    tuple(map(int, version("apache-airflow").split(".")[:2])) < (3, 3), reason="measured on the newest Airflow only"
)
#: Clocks run faster by this factor.
FASTER = 20.0

Hasten: TypeAlias = Callable[[Coroutine[Any, Any, Any]], Any]


class HastySelector(selectors.DefaultSelector):
    """A selector that waits for a fraction of the timeout."""

    def select(self, timeout: float | None = None) -> Any:
        return super().select(timeout and timeout / FASTER)


class HastyLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock runs faster, for idle connections too."""

    def __init__(self) -> None:
        super().__init__(HastySelector())

    def time(self) -> float:
        return super().time() * FASTER


@pytest.fixture
def hasten(monkeypatch: pytest.MonkeyPatch) -> Hasten:
    """Run a coroutine with clocks that all run faster."""
    began = time.time()
    clocks = {
        "wall": lambda: began + FASTER * (time.time() - began),
        "monotonic": lambda: FASTER * time.monotonic(),
    }
    monkeypatch.setattr(watch, "ApiSession", partial(ApiSession, **clocks))  # type: ignore[arg-type]

    def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
        loop = HastyLoop()
        try:
            return loop.run_until_complete(coroutine)
        finally:
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()

    return run
