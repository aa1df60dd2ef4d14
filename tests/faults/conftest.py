"""A server for the fault table, with and without TLS, and shortened times."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from dev.benchmarks.faults.setup import Pace
from mkw_airflow_provider.client.flows import ApiSession
from mkw_airflow_provider.emulator import Emulator
from mkw_airflow_provider.triggers import watch
from tests.kit.certificates import Certificates
from tests.kit.clock import Clock
from tests.kit.pauses import shorten_pauses

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
    shorten_pauses(monkeypatch, FASTER)
    # Restores what a row sets.
    monkeypatch.setenv("AIRFLOW_CONN_METAKRAFTWERK_DEFAULT", "")
    return PACE


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A wall clock that can jump and that this provider reads."""
    clock = Clock(rate=1.0)
    monkeypatch.setattr("time.time", clock.wall)
    monkeypatch.setattr(watch, "ApiSession", partial(ApiSession, wall=clock.wall))
    return clock


@pytest.fixture(scope="session")
def plain_server(metakraftwerk_emulator: Emulator) -> InThisProcess:
    """A server without TLS."""
    return InThisProcess(metakraftwerk_emulator)


@pytest.fixture(scope="session")
def tls_server(certificates: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[InThisProcess]:
    """A server with TLS, and a certificate of an unknown authority."""
    folder = tmp_path_factory.mktemp("shown")
    shutil.copyfile(certificates.ca, folder / "authority.pem")
    shutil.copyfile(certificates.server, folder / "good.pem")
    shutil.copyfile(certificates.server_of_another_ca, folder / "unknown.pem")
    shown = folder / "shown.pem"
    shutil.copyfile(folder / "good.pem", shown)
    with Emulator(tls_cert=shown) as emulator:
        yield InThisProcess(emulator, shown)
