"""Certificates of servers and clients, and the authorities that issued them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

#: A name that no resolver knows (RFC 2606): only a proxy leads there.
FAR = "metakraftwerk.invalid"


@dataclass(frozen=True)
class Certificates:
    """PEM files: two authorities, and what the first has issued."""

    ca: str
    other_ca: str
    server: str
    server_of_another_name: str
    server_of_another_ca: str
    client: str
    client_of_other_ca: str
    client_with_encrypted_key: str


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    folder = tmp_path_factory.mktemp("certificates")

    def write(name: str, *blobs: trustme.Blob) -> str:
        path: Path = folder / name
        path.write_bytes(b"".join(blob.bytes() for blob in blobs))
        return str(path)

    ca, other_ca = trustme.CA(), trustme.CA()
    client = ca.issue_cert("airflow@example.com")
    key = load_pem_private_key(client.private_key_pem.bytes(), None)
    encrypted = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"pass phrase"))
    return Certificates(
        ca=write("ca.pem", ca.cert_pem),
        other_ca=write("other-ca.pem", other_ca.cert_pem),
        server=write("server.pem", ca.issue_cert("127.0.0.1", FAR).private_key_and_cert_chain_pem),
        server_of_another_name=write("other.pem", ca.issue_cert("other.invalid").private_key_and_cert_chain_pem),
        server_of_another_ca=write("unknown.pem", other_ca.issue_cert("127.0.0.1").private_key_and_cert_chain_pem),
        client=write("client.pem", client.private_key_and_cert_chain_pem),
        client_of_other_ca=write(
            "stranger.pem", other_ca.issue_cert("airflow@example.com").private_key_and_cert_chain_pem
        ),
        client_with_encrypted_key=write("locked.pem", trustme.Blob(encrypted), *client.cert_chain_pems),
    )
