"""``Retry-After``: honored as seconds and as a date, and never for longer than the tolerance."""

from __future__ import annotations

from email.utils import formatdate

import pytest

from mkw_airflow_provider.client.api.builds import get_build
from mkw_airflow_provider.exceptions import RateLimitedError
from tests.kit.simulation import NIGHT, World, build, http_error, ok

READ = get_build(5139)


def pause_after(world: World, **headers: str) -> float:
    world.script(http_error(503, **headers), ok(build()))
    world.run(world.session.request(READ))
    (pause,) = world.pauses
    return pause


def test_seconds(world):
    assert pause_after(world, retry_after="40") == 40.0


def test_fractions_of_seconds(world):
    assert pause_after(world, retry_after="1.5") == 1.5


def test_date_counts_from_the_date_header(world):
    world.clock.jump(86_400.0)
    date, later = formatdate(NIGHT, usegmt=True), formatdate(NIGHT + 50, usegmt=True)
    assert pause_after(world, retry_after=later, date=date) == 50.0


def test_date_without_server_date_uses_local_clock(world):
    assert pause_after(world, retry_after=formatdate(NIGHT + 50, usegmt=True)) == 50.0


@pytest.mark.parametrize(
    "value",
    ["0", "-5", "", "soon", "Thu, 32 Foo 2026", "nan", formatdate(NIGHT - 50), f"Fri, 31 Dec {'9' * 30} 23:59:59 GMT"],
)
def test_invalid_value_leaves_the_usual_pause(world, value):
    assert pause_after(world, retry_after=value) == 1.0


def test_longer_of_header_and_backoff_counts(world):
    world.script(*[http_error(503, retry_after="3")] * 4, ok(build()))
    world.run(world.session.request(READ))
    assert world.pauses == [3, 3, 4, 8]


@pytest.mark.parametrize("value", ["86400", "1e999", "9" * 400, "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_huge_value_is_capped_by_the_tolerance(value):
    world = World(outage_tolerance=60.0)
    world.script(http_error(429), forever=http_error(429, retry_after=value))
    with pytest.raises(RateLimitedError):
        world.run(world.session.request(READ))
    assert world.pauses == [1.0, 59.0]


def test_value_is_capped_by_the_deadline(world):
    world.script(forever=http_error(429, retry_after="600"))
    with pytest.raises(RateLimitedError):
        world.run(world.session.request(READ, until=world.clock.wall() + 25))
    assert world.pauses == [25.0]
