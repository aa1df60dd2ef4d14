"""What the pages read from MetaKraftwerk: as little as possible, and a sentence if it fails."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from mkw_airflow_provider.version_compat import AIRFLOW_V_3_1_PLUS

if not AIRFLOW_V_3_1_PLUS:
    pytest.skip("Airflow before 3.1 has no place for the pages", allow_module_level=True)

from mkw_airflow_provider.emulator import Emulator
from mkw_airflow_provider.plugin import resources
from mkw_airflow_provider.plugin.feed import BURST, INTERVAL, Feed
from tests.airflow.conftest import Connect

CONNECTION = "metakraftwerk_default"
BUILD = 5139


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def feed(emulator: Emulator, connect: Connect, clock: Clock) -> Feed:
    emulator.set(build_seconds=600)
    emulator.start_build()
    return Feed(CONNECTION, clock)


def _reads(emulator: Emulator) -> int:
    return len(emulator.requests("GET"))


def test_many_browsers_make_one_request(feed: Feed, emulator: Emulator) -> None:
    def show() -> None:
        (entry,) = feed.read(resources.one_build(BUILD, None))
        assert entry.value.id == BUILD

    browsers = [threading.Thread(target=show) for _ in range(20)]
    for browser in browsers:
        browser.start()
    for browser in browsers:
        browser.join()
    assert _reads(emulator) == 1


def test_one_request_per_interval_on_average(feed: Feed, emulator: Emulator, clock: Clock) -> None:
    """However many different builds are shown, apart from the initial burst."""
    for _ in range(100):
        for number in range(10):
            feed.read(resources.one_build(BUILD + number, None))
        clock.now += INTERVAL / 10
    assert _reads(emulator) <= BURST + 10


def test_running_build_is_read_every_5_seconds(feed: Feed, emulator: Emulator, clock: Clock) -> None:
    for _ in range(12):
        feed.read(resources.one_build(BUILD, None))
        clock.now += 2.5
    assert _reads(emulator) == 6


def test_unread_resources_come_first(feed: Feed, emulator: Emulator, clock: Clock) -> None:
    for _ in range(3 * BURST):
        feed.read(resources.one_build(BUILD, None))
        clock.now += INTERVAL
    feed.read(*[resources.one_build(BUILD + 1 + number, None) for number in range(BURST)])
    clock.now += INTERVAL
    first, second = feed.read(resources.one_build(BUILD, None), resources.projects())
    assert second.value is not None
    assert first.value is not None


def test_outage_keeps_what_was_read(feed: Feed, emulator: Emulator, clock: Clock) -> None:
    feed.read(resources.one_build(BUILD, None))
    emulator.fault("close", times=None)
    clock.now += INTERVAL
    (entry,) = feed.read(resources.one_build(BUILD, None))
    assert entry.value.id == BUILD
    assert entry.problem == "MetaKraftwerk does not respond; this page keeps trying."


def _password(connect: Connect, emulator: Emulator) -> None:
    connect({"password": "wrong-password"})


def _port(connect: Connect, emulator: Emulator) -> None:
    connect({"port": 1})


def _missing(connect: Connect, emulator: Emulator) -> None:
    connect({"login": None})


def _other_type(connect: Connect, emulator: Emulator) -> None:
    connect({"conn_type": "postgres"})


def _unavailable(connect: Connect, emulator: Emulator) -> None:
    emulator.fault("status", status=503, path="/api/v1/builds/*", times=None)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (_password, "MetaKraftwerk refused the login of connection 'metakraftwerk_default': e-mail, password or token"),
        (_port, "MetaKraftwerk does not respond; this page keeps trying."),
        (_missing, "The connection 'metakraftwerk_default' cannot be used: its type is not MetaKraftwerk, or a field"),
        (_other_type, "The connection 'metakraftwerk_default' cannot be used: its type is not MetaKraftwerk, or a"),
        (_unavailable, "MetaKraftwerk is not available at the moment (status 503); this page keeps trying."),
    ],
)
def test_failure_is_a_sentence(
    feed: Feed, emulator: Emulator, connect: Connect, spoil: Callable[[Connect, Emulator], None], sentence: str
) -> None:
    spoil(connect, emulator)
    (entry,) = feed.read(resources.one_build(BUILD, None))
    assert entry.value is None
    assert entry.problem.startswith(sentence)
    # Who reads a task may not see where the server is, nor who logs in.
    for secret in ("wrong-password", "127.0.0.1", "demo@example.com"):
        assert secret not in entry.problem


def test_missing_connection_is_a_sentence() -> None:
    (entry,) = Feed("no_such_connection").read(resources.projects())
    assert entry.problem.startswith("The connection 'no_such_connection' does not exist in Airflow's API server.")


def test_changed_credentials_are_used(feed: Feed, emulator: Emulator, connect: Connect, clock: Clock) -> None:
    connect({"password": "wrong-password"})
    feed.read(resources.one_build(BUILD, None))
    connect()
    clock.now += INTERVAL
    (entry,) = feed.read(resources.one_build(BUILD, None))
    assert (entry.value.id, entry.problem) == (BUILD, "")
