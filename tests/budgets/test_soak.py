"""A short form of ``make soak``, without the memory, which needs minutes to be steady."""

from __future__ import annotations

import pytest

from benchmarks import soak
from tests.budgets.conftest import NEWEST

pytestmark = NEWEST


def test_files_and_connections_stay_the_same_while_tokens_are_renewed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soak, "TOKEN_SECONDS", 3.0 * soak.COMPRESSION)
    samples, server = soak.soak(12.0)
    findings = soak.counts(samples, server)
    assert [finding.what for finding in findings if not finding.holds] == []
    assert server["started"] >= 80
    assert server["logins"] >= 4
