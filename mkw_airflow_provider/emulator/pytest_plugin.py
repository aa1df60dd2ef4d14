"""pytest fixtures: an emulator for the session, and for each test its seed and its Airflow connection."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from mkw_airflow_provider.emulator import Emulator

# Long enough for a build to be seen running, short enough for a test.
BUILD_SECONDS = 0.2

# A test whose emulator cannot be reached fails after seconds; the defaults of the provider suit a nightly run.
IMPATIENT = {"connect_timeout": 5, "read_timeout": 15, "outage_tolerance": 10}

# Where the client keeps its tokens.
TOKEN_CACHE = ("mkw_airflow_provider.client.token_cache", "_caches")


@pytest.fixture(scope="session")
def metakraftwerk_seed() -> str | os.PathLike[str] | Mapping[str, Any] | None:
    """The seed of the emulator; override it to test with a warehouse of your own."""
    return None


@pytest.fixture(scope="session")
def metakraftwerk_emulator(metakraftwerk_seed: Any) -> Iterator[Emulator]:
    """One emulator for the whole session, on a free port."""
    with Emulator(seed=metakraftwerk_seed, build_seconds=BUILD_SECONDS) as emulator:
        yield emulator


@pytest.fixture
def metakraftwerk(metakraftwerk_emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """The emulator with its seed restored, as Airflow's connection ``metakraftwerk_default``.

    The client has no cached token and gives up on an unreachable server after 10 seconds. The test fails if a
    request caused an error in the emulator itself.
    """
    emulator = metakraftwerk_emulator
    if not emulator.running:
        emulator.start()
    emulator.reset()
    _clear_token_cache()
    connection = emulator.connection | {"extra": IMPATIENT}
    monkeypatch.setenv("AIRFLOW_CONN_METAKRAFTWERK_DEFAULT", json.dumps(connection))
    yield emulator
    if emulator.running:
        broken = [request for request in emulator.requests() if request["status"] == 500 and request["fault"] is None]
        if broken:
            message = f"The emulator itself failed during {broken[0]['method']} {broken[0]['path']}"
            pytest.fail(message, pytrace=False)


def _clear_token_cache() -> None:
    """Empty the client's token cache.

    The emulator imports nothing of the client. A client that has not been imported has no tokens.
    """
    module, cache = TOKEN_CACHE
    if module in sys.modules:
        getattr(sys.modules[module], cache).clear()
