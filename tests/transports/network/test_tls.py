"""Which certificates are trusted, and which one is sent: the same for both transports."""

from __future__ import annotations

import shutil
import socket
import ssl
import struct
import subprocess
import warnings

import pytest

from mkw_airflow_provider.client.api.builds import create_build
from mkw_airflow_provider.client.api.projects import find_projects
from mkw_airflow_provider.client.request import TransportError
from mkw_airflow_provider.client.session import OutcomeUnknownError
from mkw_airflow_provider.client.settings import Settings
from mkw_airflow_provider.client.transports.aio import shared_client
from mkw_airflow_provider.exceptions import ConfigurationError, ConnectionFailedError

BUILD = create_build(project_id=402, instances=[{"id": 1001}])
EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"


@pytest.fixture
def at(connect, secure):
    """demo@example.com at the emulator that speaks TLS."""

    def make(**extra):
        fields = {name: secure.connection[name] for name in ("host", "port", "schema", "login", "password")}
        return connect(**fields, extra=extra)

    return make


def refused(api, secure):
    with pytest.raises(ConnectionFailedError, match=r"(?i)certificate") as caught:
        api.call(find_projects())
    assert f"POST /authentication at {secure.url} got no response" in str(caught.value)
    assert "5 attempts in 2 s" in str(caught.value)
    assert secure.requests() == []


def works(api, secure):
    assert [project.id for project in api.call(find_projects())] == [402, 403, 404, 405]
    assert [request["path"] for request in secure.requests()] == ["/authentication", "/api/v1/projects"]


def test_unknown_ca_is_refused(at, secure):
    refused(at(), secure)


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
def test_ca_of_the_environment_is_trusted(at, secure, certificates, monkeypatch, variable):
    monkeypatch.setenv(variable, certificates.ca)
    works(at(verify=True), secure)


def test_ca_of_the_connection_is_trusted(at, secure, certificates):
    works(at(verify=certificates.ca), secure)


def test_only_the_ca_of_the_connection_is_trusted(at, secure, certificates, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", certificates.ca)
    refused(at(verify=certificates.other_ca), secure)


@pytest.mark.parametrize("word", [False, "false", "no", 0])
def test_verify_false_trusts_any_certificate(at, secure, word):
    works(at(verify=word), secure)


def test_certificate_of_another_name_is_refused(connect, serve, server_context, certificates):
    server = serve(lambda request: EMPTY, server_context(certificates.server_of_another_name))
    strict = connect(host=server.url, extra={"token": "t", "verify": certificates.ca})
    with pytest.raises(ConnectionFailedError, match=r"(?i)certificate"):
        strict.call(find_projects())
    assert server.arrived == []
    trusting = connect(host=server.url, extra={"token": "t", "verify": False})
    assert trusting.call(find_projects()) == []


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_client_certificate_is_sent(connect, serve, server_context, certificates, newest):
    server = serve(lambda request: EMPTY, server_context(demanding=True, newest=newest))
    extra = {"token": "t", "verify": certificates.ca}
    with pytest.raises(ConnectionFailedError, match="5 attempts"):
        connect(host=server.url, extra=extra).call(find_projects())
    assert server.arrived == []
    assert connect(host=server.url, extra=extra | {"client_cert": certificates.client}).call(find_projects()) == []


def hang(client):
    while client.recv(65536):
        pass


def close(client):
    client.recv(65536)


def reset(client):
    client.recv(65536)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def speak_plain_http(client):
    client.recv(65536)
    client.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


@pytest.mark.parametrize("behavior", [hang, close, reset, speak_plain_http])
@pytest.mark.parametrize("call", [find_projects(), BUILD], ids=["read", "create"])
def test_failed_handshake_is_retried(connect, listen, call, behavior):
    """No byte of the request has been sent, so even a POST is retried."""
    server = listen(behavior)
    api = connect(host="127.0.0.1", port=server.port, extra={"token": "t", "connect_timeout": 0.5})
    with pytest.raises(ConnectionFailedError, match=f"{call} at https://127.0.0.1:{server.port} .*5 attempts"):
        api.call(call)
    assert server.connections == 5


def test_post_is_retried_if_certificate_is_refused(at, secure):
    api = at(token="t")
    with pytest.raises(ConnectionFailedError, match=r"POST /api/v1/builds at .*5 attempts"):
        api.call(BUILD)
    assert secure.requests() == []


def test_post_arrives_once_certificate_is_right(connect, serve, server_context, certificates):
    context = server_context(certificates.server_of_another_name)
    body = b'{"build": {"id": 1, "status": "BUILDING"}}'
    created = b"HTTP/1.1 201 Created\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    server = serve(lambda request: created, context)
    api = connect(host=server.url, extra={"token": "t", "verify": certificates.ca})
    api.clock.meanwhile = [lambda: None, lambda: context.load_cert_chain(certificates.server)]
    assert api.call(BUILD).build.id == 1
    assert [request.line for request in server.arrived] == ["POST /api/v1/builds HTTP/1.1"]
    assert api.clock.pauses == [0.5, 0.5]


def test_post_without_client_cert_is_not_resent(connect, serve, server_context, certificates):
    """With TLS 1.3 a client learns that its certificate is missing only after it has sent the request."""
    server = serve(lambda request: EMPTY, server_context(demanding=True))
    with pytest.raises(OutcomeUnknownError):
        connect(host=server.url, extra={"token": "t", "verify": certificates.ca}).call(BUILD)
    assert (server.connections, server.arrived) == (1, [])


def unreadable(certificates, folder):
    """Return extra fields with files that cannot be used."""
    text = folder / "text.pem"
    text.write_text("no certificate")
    return {
        "a bundle of text": {"verify": str(text)},
        "a certificate of text": {"client_cert": str(text)},
        "a certificate without its key": {"client_cert": certificates.ca},
        "an encrypted key": {"client_cert": certificates.client_with_encrypted_key},
    }


@pytest.mark.parametrize(
    "what", ["a bundle of text", "a certificate of text", "a certificate without its key", "an encrypted key"]
)
def test_unreadable_files_are_an_error(at, secure, certificates, tmp_path, what):
    """It fails immediately: no prompt for a passphrase, no retry."""
    api = at(**unreadable(certificates, tmp_path)[what])
    with pytest.raises(ConfigurationError, match=r"the CA bundle or client certificate .* cannot be read"):
        api.call(find_projects())
    assert api.clock.pauses == []
    assert secure.requests() == []


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("what", ["bundle", "folder", "client certificate"])
def test_running_wait_reads_replaced_files(connect, serve, server_context, certificates, tmp_path, what, newest):
    """A wait takes hours, a certificate may be replaced every day."""
    file = tmp_path / "file.pem"
    if what == "client certificate":
        wrong, right, extra = certificates.client_of_other_ca, certificates.client, {"verify": certificates.ca}
        extra["client_cert"] = str(file)
    else:
        wrong, right, extra = certificates.other_ca, certificates.ca, {"verify": str(file)}
    if what == "folder":
        file = file / f"{hash_of(right)}.0"
        file.parent.mkdir()
        extra = {"verify": str(file.parent)}
    shutil.copy(wrong, file)
    server = serve(lambda request: EMPTY, server_context(demanding=what == "client certificate", newest=newest))
    api = connect(host=server.url, extra={"token": "t"} | extra)
    api.clock.meanwhile = [lambda: None, lambda: shutil.copy(right, file)]
    assert api.call(find_projects()) == []
    # In a folder OpenSSL itself finds new files, of names that it has not read yet.
    assert len(api.clock.pauses) == (2 if what == "folder" else 3)


def hash_of(certificate):
    """The file name that OpenSSL expects for a CA in a folder."""
    command = ["openssl", "x509", "-hash", "-noout", "-in", certificate]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_new_wait_reads_replaced_files(over_aiohttp, serve, server_context, certificates, tmp_path):
    """At its first attempt, although an older wait keeps the shared client with the previous files."""
    bundle = tmp_path / "bundle.pem"
    shutil.copy(certificates.other_ca, bundle)
    server = serve(lambda request: EMPTY, server_context())
    settings = Settings(server.url, token="t", verify=str(bundle))

    async def story():
        async with shared_client(settings, "a", over_aiohttp.mask) as old:
            with pytest.raises(TransportError):
                await old.send(find_projects())
            shutil.copy(certificates.ca, bundle)
            async with shared_client(settings, "a", over_aiohttp.mask) as new:
                return (await new.send(find_projects())).status

    assert over_aiohttp.do(story()) == 200


def test_unverified_https_is_warned_of_once(connect_over, over_requests, serve, server_context):
    server = serve(lambda request: EMPTY, server_context())
    api = connect_over(over_requests, host=server.url, extra={"token": "t", "verify": False})
    with warnings.catch_warnings(record=True) as shown:
        for _ in range(3):
            api.call(find_projects())
    # None where an earlier test of this process was warned.
    assert [warning.category.__name__ for warning in shown] in ([], ["InsecureRequestWarning"])
