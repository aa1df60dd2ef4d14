"""Fetching one file: resumed where it broke off, and never with the token to another host."""

from __future__ import annotations

import pytest

from mkw_airflow_provider.client.flows.download_build import download_file
from mkw_airflow_provider.client.storage.folder import Folder
from mkw_airflow_provider.exceptions import (
    ApiError,
    ConnectionFailedError,
    IntegrityError,
    NotFoundError,
)
from tests.kit.files import Files, content, names, sha256, zip_of
from tests.kit.simulation import World, body, lost, ok, says_no, unreachable

DATA = bytes(range(256)) * 40


def fetch(world: World, folder: Folder, name: str = "result.sql"):
    return download_file(world, world.session, 1, folder, name)


def test_a_file_arrives_with_its_size_and_hash(world, folder):
    Files(world, {1: DATA})
    file = fetch(world, folder)
    assert (file.path, file.size, file.sha256) == (folder.shown("result.sql"), len(DATA), sha256(DATA))
    assert names(folder) == ["result.sql"]
    assert content(folder, "result.sql") == DATA


def test_an_empty_file_is_a_file(world, folder):
    Files(world, {1: b""})
    assert (fetch(world, folder).size, content(folder, "result.sql")) == (0, b"")


def test_an_older_file_of_that_name_is_replaced_only_by_a_whole_one(world, folder):
    files = Files(world, {1: b"old"})
    fetch(world, folder)
    files.instead[1] = lambda call: body(b"half", content_length="8")
    with pytest.raises(IntegrityError):
        fetch(world, folder)
    assert content(folder, "result.sql") == b"old"
    del files.instead[1]
    files.files[1] = b"new"
    fetch(world, folder)
    assert content(folder, "result.sql") == b"new"


def test_a_transfer_that_breaks_off_goes_on_where_it_broke(world, folder):
    files = Files(world, {1: DATA})
    files.breaks[1] = [3_000, 4_000]
    assert fetch(world, folder).sha256 == sha256(DATA)
    assert files.asked == [(1, None), (1, "bytes=3000-"), (1, "bytes=7000-")]
    assert world.sent[1].call.sink is not None


def test_the_rest_is_asked_for_on_the_condition_that_the_file_is_still_the_same(world, folder):
    world.script(
        body(b"one", etag='"v1"', breaks=lost()), body(b"two", etag='"v1"', status=206, content_range="bytes 3-5/6")
    )
    assert fetch(world, folder).size == 6
    first, second = (sent.headers for sent in world.sent)
    assert {"Range", "If-Range"}.isdisjoint(first)
    assert (second["Range"], second["If-Range"]) == ("bytes=3-", '"v1"')


def test_a_date_of_change_is_a_condition_too(world, folder):
    date = "Thu, 02 Apr 2026 08:14:58 GMT"
    world.script(
        body(b"one", last_modified=date, breaks=lost()),
        body(b"two", last_modified=date, status=206, content_range="bytes 3-5/6"),
    )
    assert fetch(world, folder).sha256 == sha256(b"onetwo")


@pytest.mark.parametrize("headers", [{}, {"etag": 'W/"v1"'}], ids=["none", "weak"])
def test_without_a_condition_it_starts_again(world, folder, headers):
    world.script(body(b"one", breaks=lost(), **headers), body(b"onetwo", **headers))
    assert fetch(world, folder).sha256 == sha256(b"onetwo")
    assert ["Range" in sent.headers for sent in world.sent] == [False, False]


def test_a_server_that_sends_the_whole_file_again_is_believed(world, folder):
    world.script(body(b"one", etag='"v1"', breaks=lost()), body(b"1234567", etag='"v2"'))
    assert fetch(world, folder).sha256 == sha256(b"1234567")


@pytest.mark.parametrize(
    "headers",
    [
        {"etag": '"v1"', "content_range": "bytes 2-5/6"},
        {"etag": '"v1"', "content_range": "bytes 0-5/6"},
        {"etag": '"v1"', "content_range": "lines 3-5/6"},
        {"etag": '"v1"', "content_range": f"bytes {'9' * 5_000}-5/6"},
        {"etag": '"v1"'},
        {"etag": '"v2"', "content_range": "bytes 3-5/6"},
        {"content_range": "bytes 3-5/6"},
    ],
    ids=[
        "begins early",
        "begins at 0",
        "no bytes",
        "no number that can be",
        "no range",
        "another version",
        "no version",
    ],
)
def test_another_part_than_was_asked_for_is_not_taken(world, folder, headers):
    world.script(
        body(b"one", etag='"v1"', breaks=lost()), body(b"two", status=206, **headers), body(b"fresh!", etag='"v2"')
    )
    assert fetch(world, folder).sha256 == sha256(b"fresh!")
    assert "another part of the file than was asked for" in " ".join(text for _, text in world.lines)


def test_a_part_that_nobody_asked_for_is_not_taken(world, folder):
    world.script(body(b"one", status=206, content_range="bytes 0-2/6"), body(b"onetwo"))
    assert fetch(world, folder).sha256 == sha256(b"onetwo")


def test_a_range_beyond_the_end_means_from_the_start(world, folder):
    files = Files(world, {1: DATA})

    def without_length(call):
        del files.instead[1]
        return body(DATA, etag=files.tags[1], breaks=lost("reset before the end was sure"))

    files.instead[1] = without_length
    assert fetch(world, folder).sha256 == sha256(DATA)
    assert files.asked == [(1, None), (1, f"bytes={len(DATA)}-"), (1, None)]
    assert world.logged("INFO") == [
        "GET /api/v1/downloads/1: the server has no more of the file from where it broke off. Starting over."
    ]


def test_a_416_to_a_request_without_a_range_is_an_error(world, folder):
    world.script(says_no(416, "Range Not Satisfiable"))
    with pytest.raises(ApiError, match="416"):
        fetch(world, folder)
    assert names(folder) == []


@pytest.mark.parametrize("length", ["5", "7", "0"])
def test_a_length_that_does_not_match_is_an_error(world, folder, length):
    world.script(body(b"onetwo", content_length=length))
    with pytest.raises(IntegrityError, match=f"6 bytes came, the server announced {length}"):
        fetch(world, folder)
    assert names(folder) == []


def test_the_whole_length_counts_after_a_break(world, folder):
    world.script(
        body(b"one", etag='"v1"', content_length="9", breaks=lost()),
        body(b"two", etag='"v1"', status=206, content_range="bytes 3-8/9", content_length="6"),
    )
    with pytest.raises(IntegrityError, match="6 bytes came, the server announced 9"):
        fetch(world, folder)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content_length": "many"},
        {"content_length": "9" * 5_000},
        {"content_length": "3", "content_encoding": "gzip"},
    ],
    ids=["not sent", "no number", "no number that can be", "of the coded body"],
)
def test_a_length_that_is_not_sent_or_not_that_of_the_file_is_not_checked(world, folder, headers):
    world.script(body(b"onetwo", **headers))
    assert fetch(world, folder).size == 6


def test_an_unknown_whole_length_is_not_checked_after_a_break(world, folder):
    world.script(
        body(b"one", etag='"v1"', breaks=lost()),
        body(b"two", etag='"v1"', status=206, content_range="bytes 3-5/*"),
    )
    assert fetch(world, folder).size == 6


def test_a_zip_that_is_whole_is_taken(world, folder):
    data = zip_of(a="select 1;", b="select 2;")
    Files(world, {1: data})
    assert fetch(world, folder, "RESULT.ZIP").sha256 == sha256(data)


def test_what_is_named_as_a_zip_must_be_one(world, folder):
    world.script(body(b"<html>Back soon</html>"))
    with pytest.raises(IntegrityError, match=r"result.zip is named as a ZIP, but is none that is whole"):
        fetch(world, folder, "result.zip")
    assert names(folder) == []


def test_a_zip_with_a_damaged_member_is_an_error(world, folder):
    data = bytearray(zip_of(first="select 1;", second="select 2;"))
    at = data.index(b"second") + len("second") + 2
    data[at] ^= 0xFF
    world.script(body(bytes(data)))
    with pytest.raises(IntegrityError):
        fetch(world, folder, "result.zip")
    assert names(folder) == []


def test_an_outage_is_waited_out_and_the_tolerance_counts_from_the_newest_piece(folder):
    world = World(outage_tolerance=60.0)
    pieces = [body(b"x", etag='"v"', breaks=lost())]
    for number in range(1, 20):
        more = body(b"x", etag='"v"', status=206, content_range=f"bytes {number}-19/20", breaks=lost())
        pieces += [unreachable(), unreachable(), more]
    pieces[-1].breaks = None
    world.script(*pieces)
    assert fetch(world, folder).size == 20
    assert world.now > 60.0


def test_an_outage_longer_than_the_tolerance_leaves_no_file(folder):
    world = World(outage_tolerance=60.0)
    world.script(body(b"one", etag='"v1"', breaks=lost()), forever=unreachable())
    with pytest.raises(ConnectionFailedError, match="GET /api/v1/downloads/1"):
        fetch(world, folder)
    assert names(folder) == []


def test_a_download_that_does_not_exist_is_an_error_at_once(world, folder):
    Files(world, {})
    with pytest.raises(NotFoundError, match="No record found for id '1'"):
        fetch(world, folder)
    assert (names(folder), len(world.sent)) == ([], 1)


def test_a_token_that_ends_in_the_middle_is_renewed_and_the_file_goes_on(world, folder):
    world.script(
        body(b"one", etag='"v1"', breaks=lost()),
        says_no(401, "jwt expired"),
        ok({"accessToken": "new"}, 201),
        body(b"two", etag='"v1"', status=206, content_range="bytes 3-5/6"),
    )
    assert fetch(world, folder).sha256 == sha256(b"onetwo")
    assert world.sent[-1].call.token == "new"
