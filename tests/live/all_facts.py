"""All facts. Those about records come last, when the test build is among the records."""

from __future__ import annotations

from tests.live import facts_of_builds, facts_of_records, facts_of_requests, facts_of_results
from tests.live.findings import FACTS, TEST_BUILD, Fact

MODULES = (facts_of_requests, facts_of_builds, facts_of_results, facts_of_records)


def _position(fact: Fact) -> int:
    return next(at for at, module in enumerate(MODULES) if fact.name in vars(module))


ALL = sorted(FACTS, key=_position)
READING = [fact for fact in ALL if not set(TEST_BUILD) & set(fact.needs)]
OF_RUNNING_BUILD = [fact for fact in ALL if fact.name in vars(facts_of_builds)]
OF_RESULTS = [fact for fact in ALL if fact.name in vars(facts_of_results)]
