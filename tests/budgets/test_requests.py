"""The requests that the chain of one build sends, from the emulator's log."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from dev.benchmarks.chain import purpose
from dev.benchmarks.clients import chain
from mkw_airflow_provider.triggers import build as trigger
from mkw_airflow_provider.triggers import watch


def test_requests_for_one_build(connected: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Three polls: before the task defers, by the trigger when the build has ended, and before the download."""
    connected.set(build_seconds=1.0)
    monkeypatch.setattr(trigger, "EARLIEST_EVENT", 0.0)
    # The first poll of the trigger comes after 1.5 s.
    monkeypatch.setattr(watch, "FIRST_POLL", 1.5)
    monkeypatch.setattr(watch, "SPREAD", 0.0)

    files = chain.run(str(tmp_path))

    assert files > 0
    assert Counter(map(purpose, connected.requests())) == {
        "login": 1,
        "start of the build": 1,
        "poll": 3,
        "file": files,
        "changed instances": 1,
        "list of deployments": 1,
        "deployment": 1,
    }
