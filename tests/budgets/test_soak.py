"""A short form of ``make soak`` without memory, which takes minutes to settle."""

from __future__ import annotations

import pytest

from dev.benchmarks import soak
from tests.budgets.conftest import NEWEST

pytestmark = NEWEST


def test_waits_share_and_renew_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soak, "TOKEN_SECONDS", 3.0 * soak.COMPRESSION)
    samples, server = soak.soak(100)
    findings = soak.counts(samples, server)
    assert [finding.what for finding in findings if not finding.holds] == []
    # A hundred starts take four lifetimes of a token, or more on a busy machine.
    assert server["logins"] >= 4
