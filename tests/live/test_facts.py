"""Each fact against a real account: ``make live``."""

from __future__ import annotations

import pytest

from tests.live.all_facts import ALL
from tests.live.findings import Verdict

pytestmark = pytest.mark.live


@pytest.mark.parametrize("fact", ALL, ids=lambda fact: fact.name)
def test_fact(fact, live_account, rows):
    found = fact.check(live_account)
    rows.append((fact, found))
    if found.verdict is Verdict.NOT_CHECKED:
        pytest.skip(found.seen)
    if found.verdict is Verdict.RED:
        pytest.fail(f"expected: {fact.expected}; seen: {found.seen}; {found.effect}", pytrace=False)
