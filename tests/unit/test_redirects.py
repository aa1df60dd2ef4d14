"""Redirects of a download: followed, but never with the token to another host, and never out of TLS."""

from __future__ import annotations

import pytest

from mkw_airflow_provider.client.flows.download import MOST_REDIRECTS
from mkw_airflow_provider.client.flows.download_build import download_file
from mkw_airflow_provider.client.storage.folder import Folder
from mkw_airflow_provider.exceptions import DownloadError, ForbiddenError, MetaKraftwerkError, NotAuthenticatedError
from tests.kit.files import in_memory, sha256
from tests.kit.simulation import FIRST_TOKEN, World, body, lost, redirect, says_no

DATA = bytes(range(256)) * 40


@pytest.fixture
def folder() -> Folder:
    return in_memory()


def fetch(world: World, folder: Folder):
    return download_file(world, world.session, 1, folder, "result.sql")


def followed(world: World, folder: Folder, *locations: str, status: int = 302) -> list[tuple[str, str | None]]:
    """Answer with redirects and then with the file; return addresses and tokens of what was sent."""
    world.script(*(redirect(location, status) for location in locations), body(DATA))
    assert fetch(world, folder).size == len(DATA)
    return [(sent.call.url(world.settings.base_url), sent.call.token) for sent in world.sent]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("/files/1?signature=abc", "https://mkw.example.com/files/1?signature=abc"),
        ("1/raw", "https://mkw.example.com/api/v1/downloads/1/raw"),
        ("https://mkw.example.com/files/1", "https://mkw.example.com/files/1"),
        ("https://mkw.example.com:443/files/1", "https://mkw.example.com:443/files/1"),
        ("https://MKW.Example.com/files/1", "https://MKW.Example.com/files/1"),
    ],
)
def test_a_redirect_on_the_same_host_keeps_the_token(world, folder, location, url, status):
    assert followed(world, folder, location, status=status)[1] == (url, FIRST_TOKEN)


@pytest.mark.parametrize(
    "location",
    [
        "https://files.example.com/1?signature=abc",
        "https://mkw.example.com:8443/1",
        "https://mkw.example.com.evil.example/1",
        "https://mkw.example.com@evil.example/1",
        "//evil.example/1",
    ],
)
def test_another_host_gets_no_token(world, folder, location):
    (_, first), (_, second) = followed(world, folder, location)
    assert (first, second) == (FIRST_TOKEN, None)


def test_a_way_back_from_another_host_gets_no_token_either(world, folder):
    sent = followed(world, folder, "https://evil.example/1", "https://mkw.example.com/api/v1/downloads/1")
    assert [token for _, token in sent] == [FIRST_TOKEN, None, None]


@pytest.mark.parametrize("location", ["http://mkw.example.com/1", "http://files.example.com/1"])
def test_a_redirect_from_https_to_http_is_refused(world, folder, location):
    world.script(redirect(location))
    with pytest.raises(DownloadError, match="without TLS: not followed"):
        fetch(world, folder)
    assert len(world.sent) == 1


def test_a_redirect_to_this_very_machine_may_do_without_tls(world, folder):
    assert followed(world, folder, "http://127.0.0.1:9000/1")[1] == ("http://127.0.0.1:9000/1", None)


@pytest.mark.parametrize(
    "location", ["ftp://files.example.com/1", "file:///etc/passwd", "javascript:1", "http://[::1", "http://h:1e9/"]
)
def test_a_redirect_to_no_web_address_is_refused(world, folder, location):
    world.script(redirect(location))
    with pytest.raises(DownloadError, match="no web address"):
        fetch(world, folder)


def test_so_many_redirects_are_followed_and_no_more(world, folder):
    chain = [f"/files/{number}" for number in range(MOST_REDIRECTS)]
    assert len(followed(world, folder, *chain)) == MOST_REDIRECTS + 1
    world.script(forever=redirect("/files/again"))
    with pytest.raises(DownloadError, match="redirected more than 5 times"):
        fetch(world, folder)


def test_a_redirect_without_a_place_is_an_error(world, folder):
    world.script(says_no(302))
    with pytest.raises(MetaKraftwerkError, match="answered with 302"):
        fetch(world, folder)


@pytest.mark.parametrize(("status", "kind"), [(401, NotAuthenticatedError), (403, ForbiddenError)])
def test_what_another_host_refuses_is_no_reason_to_log_in(world, folder, status, kind):
    world.script(redirect("https://files.example.com/1?signature=abc"), says_no(status))
    with pytest.raises(kind) as caught:
        fetch(world, folder)
    assert "signature" not in str(caught.value)
    assert len(world.sent) == 2


def test_a_transfer_from_another_host_is_resumed_there(world, folder):
    world.script(
        redirect("https://files.example.com/1"),
        body(b"one", etag='"v1"', breaks=lost()),
        body(b"two", etag='"v1"', status=206, content_range="bytes 3-5/6"),
    )
    assert fetch(world, folder).sha256 == sha256(b"onetwo")
    assert [sent.call.token for sent in world.sent] == [FIRST_TOKEN, None, None]
