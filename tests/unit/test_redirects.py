"""Redirects of a download: followed, but never with the token to another host, and never out of TLS."""

from __future__ import annotations

import traceback

import pytest

from mkw_airflow_provider.client.flows.download import MAX_REDIRECTS
from mkw_airflow_provider.client.storage.folder import Folder
from mkw_airflow_provider.exceptions import DownloadError, ForbiddenError, MetaKraftwerkError, ServerError
from tests.kit.files import fetch, in_memory, sha256
from tests.kit.simulation import FIRST_TOKEN, World, body, http_error, lost, redirect

DATA = bytes(range(256)) * 40
STORE = "https://files.example.com/1?signature=abcdef"
API = "/api/v1/downloads/1"


@pytest.fixture
def folder() -> Folder:
    return in_memory()


def followed(world: World, folder: Folder, *locations: str, status: int = 302) -> list[tuple[str, str | None]]:
    """Respond with redirects and then with the file; return addresses and tokens of what was sent."""
    world.script(*(redirect(location, status) for location in locations), body(DATA))
    assert fetch(world, folder).size == len(DATA)
    return [(sent.call.url(world.settings.base_url), sent.call.token) for sent in world.sent]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("/files/1?signature=abc", "https://mkw.example.com/files/1?signature=abc"),
        ("1/raw", "https://mkw.example.com/api/v1/downloads/1/raw"),
        ("https://mkw.example.com:443/files/1", "https://mkw.example.com:443/files/1"),
        ("https://MKW.Example.com/files/1", "https://MKW.Example.com/files/1"),
    ],
)
def test_same_host_gets_the_token(world, folder, location, url, status):
    assert followed(world, folder, location, status=status)[1] == (url, FIRST_TOKEN)


@pytest.mark.parametrize(
    "location",
    [
        STORE,
        "https://mkw.example.com:8443/1",
        "https://mkw.example.com.evil.example/1",
        "https://mkw.example.com@evil.example/1",
        "//evil.example/1",
    ],
)
def test_other_host_gets_no_token(world, folder, location):
    """Nor does a way back from there."""
    sent = followed(world, folder, location, "https://mkw.example.com/api/v1/downloads/1")
    assert [token for _, token in sent] == [FIRST_TOKEN, None, None]


@pytest.mark.parametrize("location", ["http://mkw.example.com/1", "http://files.example.com/1"])
def test_redirect_out_of_tls_is_refused(world, folder, location):
    world.script(redirect(location))
    with pytest.raises(DownloadError, match="without TLS; the redirect was not followed"):
        fetch(world, folder)
    assert len(world.sent) == 1


def test_redirect_to_this_machine_needs_no_tls(world, folder):
    assert followed(world, folder, "http://127.0.0.1:9000/1")[1] == ("http://127.0.0.1:9000/1", None)


@pytest.mark.parametrize(
    "location", ["ftp://files.example.com/1", "file:///etc/passwd", "http://[::1", "http://h:1e9/"]
)
def test_redirect_elsewhere_is_refused(world, folder, location):
    world.script(redirect(location))
    with pytest.raises(DownloadError, match="not a web address"):
        fetch(world, folder)


def test_number_of_redirects_is_bounded(world, folder):
    chain = [f"/files/{number}" for number in range(MAX_REDIRECTS)]
    assert len(followed(world, folder, *chain)) == MAX_REDIRECTS + 1
    world.script(forever=redirect("/files/again"))
    with pytest.raises(DownloadError, match="redirected more than 5 times"):
        fetch(world, folder)


def test_redirect_without_an_address_is_an_error(world, folder):
    world.script(http_error(302))
    with pytest.raises(MetaKraftwerkError, match="302"):
        fetch(world, folder)


def test_transfer_is_resumed_at_the_other_host(world, folder):
    world.script(
        redirect(STORE),
        body(b"one", etag='"v1"', breaks=lost()),
        body(b"two", etag='"v1"', status=206, content_range="bytes 3-5/6"),
    )
    assert fetch(world, folder).sha256 == sha256(b"onetwo")
    assert [sent.call.token for sent in world.sent] == [FIRST_TOKEN, None, None]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_expired_address_is_replaced_and_resumed(world, folder, status):
    """Every time it expires, as long as each address delivers more of the file."""
    world.script(
        redirect(STORE),
        body(b"one", etag='"v1"', breaks=lost()),
        http_error(status, "Request has expired"),
        redirect(f"{STORE}2"),
        body(b"two", etag='"v1"', status=206, content_range="bytes 3-8/9", breaks=lost()),
        http_error(status, "Request has expired"),
        redirect(f"{STORE}3"),
        body(b"six", etag='"v1"', status=206, content_range="bytes 6-8/9"),
    )
    assert fetch(world, folder).sha256 == sha256(b"onetwosix")
    assert [sent.path.partition("?")[0] for sent in world.sent if sent.call.token] == ["/downloads/1"] * 3
    assert world.sent[-1].headers["Range"] == "bytes=6-"
    assert "abcdef" not in str(world.lines)


def test_redirect_refused_twice_is_an_error(world, folder):
    world.script(redirect(STORE), http_error(403), redirect(STORE), http_error(403, "Not yours"))
    with pytest.raises(ForbiddenError, match="Not yours") as caught:
        fetch(world, folder)
    assert "abcdef" not in str(caught.value)
    assert world.sent[1].call.token is world.sent[3].call.token is None


def test_refusal_by_the_api_itself_is_final(world, folder):
    world.script(
        redirect(STORE), body(b"one", etag='"v1"', breaks=lost()), http_error(403), http_error(403, "Not yours")
    )
    with pytest.raises(ForbiddenError, match="Not yours"):
        fetch(world, folder)


def test_outage_of_the_other_host_is_not_restarted(folder):
    world = World(outage_tolerance=60.0)
    world.script(redirect(STORE), forever=http_error(503))
    with pytest.raises(ServerError):
        fetch(world, folder)
    assert world.requested.count("GET /downloads/1") == 1


def test_redirect_address_reveals_no_secret(world, folder):
    """Its login and its signature are masked before it is requested, and shown nowhere, whatever the server repeats."""
    url = "https://admin:p4ssw0rd@files.example.com/1?signature=abc%2Bdef&expires=900"
    said = "signature abc+def or abc%2Bdef of admin:p4ssw0rd is wrong, expires=900"
    world.script(
        redirect(url),
        lost(f"no route to {url}"),
        http_error(503, said),
        http_error(403),
        redirect(url),
        http_error(403, said),
    )
    with pytest.raises(ForbiddenError) as caught:
        fetch(world, folder)
    shown = "".join(traceback.format_exception(caught.value)) + repr(vars(caught.value)) + str(world.lines)
    assert "GET https://files.example.com/1" in shown
    for secret in ("p4ssw0rd", "admin", "abc+def", "abc%2Bdef"):
        assert secret in world.secrets
        assert secret not in shown
    assert "expires=900" in str(caught.value)
