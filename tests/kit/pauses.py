"""Shorter pauses where no argument and no connection sets them, and no token left from another test."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mkw_airflow_provider.client import recovery, retry, token_cache
from mkw_airflow_provider.client.flows import polling
from mkw_airflow_provider.client.flows import wait as waiting
from mkw_airflow_provider.triggers import build as trigger
from mkw_airflow_provider.triggers import watch

if TYPE_CHECKING:
    import pytest  # programs that are no tests import this module, too


def shorten_pauses(monkeypatch: pytest.MonkeyPatch, factor: float) -> None:
    """Divide the pauses that this provider makes between attempts, between polls and before an event."""
    for module, names in (
        (retry, ("SHORTEST_PAUSE", "LONGEST_PAUSE")),
        (recovery, ("LONGEST_SEARCH_INTERVAL",)),
        (trigger, ("EARLIEST_EVENT",)),
        (polling, ("FLOOR",)),
        (waiting, ("NOT_FOUND_TOLERANCE",)),
        (watch, ("FIRST_POLL",)),
    ):
        for name in names:
            monkeypatch.setattr(module, name, getattr(module, name) / factor)


def forget_tokens() -> None:
    """Forget the tokens that all connections of this process share, as a new process does."""
    token_cache._caches.clear()
