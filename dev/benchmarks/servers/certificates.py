"""A certificate authority for the benchmarks that every client trusts in addition to the usual ones."""

from __future__ import annotations

from pathlib import Path

import certifi
import trustme


class Authority:
    """An authority with one certificate, for ``localhost``.

    :param folder: folder for its files.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        authority = trustme.CA()
        self.certificate = folder / "server.pem"
        self.bundle = folder / "trusted.pem"
        authority.issue_cert("localhost", "127.0.0.1").private_key_and_cert_chain_pem.write_to_path(self.certificate)
        # With the usual certificates: reading them is part of what a client costs.
        self.bundle.write_bytes(Path(certifi.where()).read_bytes() + b"\n" + authority.cert_pem.bytes())

    @property
    def environment(self) -> dict[str, str]:
        """Variables that make OpenSSL (and so aiohttp and httpx) and requests trust it."""
        return {"SSL_CERT_FILE": str(self.bundle), "REQUESTS_CA_BUNDLE": str(self.bundle)}
