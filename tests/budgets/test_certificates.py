"""Files with the certificates that are trusted: each takes tens of milliseconds to read."""

from __future__ import annotations

from pathlib import Path

import certifi
import pytest

from mkw_airflow_provider.client.transports.network import _bundles


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A file with the authorities of a company, as images have it."""
    file = tmp_path.resolve() / "own.pem"
    file.write_bytes(Path(certifi.where()).read_bytes())
    return file


@pytest.fixture(autouse=True)
def nothing_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that names no file."""
    for variable in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(variable, raising=False)


def test_certifi_is_the_default() -> None:
    assert _bundles() == {str(Path(certifi.where()).resolve())}


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_a_bundle_is_read_once(monkeypatch: pytest.MonkeyPatch, own: Path, variable: str) -> None:
    """OpenSSL reads what ``SSL_CERT_FILE`` names."""
    monkeypatch.setenv(variable, str(own))
    assert _bundles() == {str(own)}
    monkeypatch.setenv("SSL_CERT_FILE", str(own))
    assert _bundles() == set()


def test_a_link_is_the_file_that_it_leads_to(monkeypatch: pytest.MonkeyPatch, own: Path) -> None:
    link = own.with_name("link.pem")
    link.symlink_to(own)
    monkeypatch.setenv("SSL_CERT_FILE", str(own))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(link))
    assert str(own) not in _bundles()
