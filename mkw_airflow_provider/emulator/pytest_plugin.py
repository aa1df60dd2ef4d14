"""pytest fixtures: an emulator for the session, and a fresh state of it with its Airflow connection for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mkw_airflow_provider.emulator import Emulator

# Long enough for a build to be seen running, short enough for a test.
BUILD_SECONDS = 0.2


@pytest.fixture(scope="session")
def metakraftwerk_emulator() -> Iterator[Emulator]:
    """One emulator for the whole session, on a free port."""
    with Emulator(build_seconds=BUILD_SECONDS) as emulator:
        yield emulator


@pytest.fixture
def metakraftwerk(metakraftwerk_emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """The emulator, back at its seed, as Airflow's connection ``metakraftwerk_default``.

    The test fails if a request made the emulator itself fail.
    """
    emulator = metakraftwerk_emulator
    if not emulator.running:
        emulator.start()
    emulator.reset()
    monkeypatch.setenv("AIRFLOW_CONN_METAKRAFTWERK_DEFAULT", emulator.connection_json)
    yield emulator
    if emulator.running:
        broken = [request for request in emulator.requests() if request["status"] == 500 and request["fault"] is None]
        if broken:
            pytest.fail(f"The emulator itself failed at {broken[0]['method']} {broken[0]['path']}", pytrace=False)
