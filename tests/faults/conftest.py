"""A server for the fault table, with and without TLS, and shortened times."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import trustme

from dev.benchmarks.faults.setup import Clock, Pace
from mkw_airflow_provider.client import recovery, retry
from mkw_airflow_provider.client.flows import ApiSession, polling
from mkw_airflow_provider.emulator import Emulator
from mkw_airflow_provider.triggers import build as trigger
from mkw_airflow_provider.triggers import watch

#: Times are divided by this: a minute takes 1.5 s, the tolerance of 15 minutes 22.5 s.
FASTER = 40

PACE = Pace(
    minute=60 / FASTER,
    build=0.4,
    poll_interval=0.2,
    read_timeout=0.3,
    slow=0.6,
    retry_after=1,
    tolerance=900 / FASTER,
    short_tolerance=0.6,
    patience=30.0,
)


@dataclass
class InThisProcess:
    """An emulator in a thread as the server of the fault table."""

    control: Emulator
    certificate: Path | None = None

    def start(self) -> None:
        """Start again."""
        self.control.start()

    def stop(self) -> None:
        """Stop and refuse connections."""
        self.control.stop()


@pytest.fixture(autouse=True)
def _few_secrets() -> None:
    """Airflow searches for all secrets with one regular expression, which the tokens of earlier tests make slow."""
    from airflow.sdk.log import _secrets_masker

    _secrets_masker().reset_masker()


@pytest.fixture
def pace(monkeypatch: pytest.MonkeyPatch) -> Pace:
    """The times of the fault table; the pauses of this provider are shortened as well."""
    monkeypatch.setattr(retry, "SHORTEST_PAUSE", retry.SHORTEST_PAUSE / FASTER)
    monkeypatch.setattr(retry, "LONGEST_PAUSE", retry.LONGEST_PAUSE / FASTER)
    monkeypatch.setattr(recovery, "SEARCH_INTERVAL", recovery.SEARCH_INTERVAL / FASTER)
    monkeypatch.setattr(trigger, "EARLIEST_EVENT", trigger.EARLIEST_EVENT / FASTER)
    monkeypatch.setattr(watch, "FLOOR", polling.FLOOR / FASTER)
    monkeypatch.setattr(polling, "FLOOR", polling.FLOOR / FASTER)
    # Restores what a row sets.
    monkeypatch.setenv("AIRFLOW_CONN_METAKRAFTWERK_DEFAULT", "")
    return PACE


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A wall clock that can jump and that this provider reads."""
    clock = Clock()
    monkeypatch.setattr("time.time", clock)
    monkeypatch.setattr(watch, "ApiSession", partial(ApiSession, wall=clock))
    return clock


@pytest.fixture(scope="session")
def plain_server() -> Iterator[InThisProcess]:
    """A server without TLS."""
    with Emulator() as emulator:
        yield InThisProcess(emulator)


@pytest.fixture(scope="session")
def tls_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InThisProcess]:
    """A server with TLS, and a certificate of an unknown authority."""
    folder = tmp_path_factory.mktemp("certificates")
    authority, unknown = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "authority.pem"))
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(folder / "good.pem"))
    unknown.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(folder / "unknown.pem"))
    shown = folder / "shown.pem"
    shutil.copyfile(folder / "good.pem", shown)
    with Emulator(tls_cert=shown) as emulator:
        yield InThisProcess(emulator, shown)
