"""Clocks that run faster, for triggers with long pauses between polls."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from importlib.metadata import version
from typing import Any, TypeAlias

import pytest

from mkw_airflow_provider.client.flows import ApiSession
from mkw_airflow_provider.triggers import watch
from tests.kit.clock import Clock, run_fast

#: Older versions log differently and load more by themselves.
NEWEST = pytest.mark.skipif(
    tuple(map(int, version("apache-airflow").split(".")[:2])) < (3, 3), reason="measured on the newest Airflow only"
)
#: Clocks run faster by this factor.
FASTER = 20.0

Hasten: TypeAlias = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture
def hasten(monkeypatch: pytest.MonkeyPatch) -> Hasten:
    """Run a coroutine with clocks that all run faster."""
    clock = Clock(FASTER)
    monkeypatch.setattr(watch, "ApiSession", partial(ApiSession, monotonic=clock.monotonic, wall=clock.wall))
    return lambda coroutine: run_fast(coroutine, FASTER)
