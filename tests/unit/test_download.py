"""Downloading one file: resumed after a break, checked, and stored only when it is complete."""

from __future__ import annotations

import pytest

from mkw_airflow_provider.client.request import Response
from mkw_airflow_provider.client.storage import download_sink
from mkw_airflow_provider.client.storage.download_sink import DownloadSink
from mkw_airflow_provider.client.transports.stopping import StoppedError, StopSignal
from mkw_airflow_provider.exceptions import (
    ApiError,
    ConnectionFailedError,
    DownloadError,
    IntegrityError,
    NotFoundError,
)
from tests.kit.files import Files, content, fetch, names, on_disk, sha256, zip_of
from tests.kit.simulation import World, body, http_error, lost, ok, unreachable

DATA = bytes(range(256)) * 40
PART = {"etag": '"v1"', "status": 206}


@pytest.mark.parametrize("data", [DATA, b""])
def test_file_arrives_with_size_and_hash(world, folder, data):
    Files(world, {1: data})
    file = fetch(world, folder)
    assert (file.size, file.sha256, file.content) == (len(data), sha256(data), sha256(data))
    assert names(folder) == ["result.sql"]
    assert content(folder, "result.sql") == data


def test_incomplete_file_does_not_replace_the_old(world, folder):
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


def test_broken_transfer_is_resumed(world, folder):
    files = Files(world, {1: DATA})
    files.breaks[1] = [3_000, 4_000]
    assert fetch(world, folder).sha256 == sha256(DATA)
    assert files.requested == [(1, None), (1, "bytes=3000-"), (1, "bytes=7000-")]


@pytest.mark.parametrize("version", [{"etag": '"v1"'}, {"last_modified": "Thu, 02 Apr 2026 08:14:58 GMT"}])
def test_rest_is_requested_of_the_same_version(world, folder, version):
    world.script(
        body(b"one", breaks=lost(), **version), body(b"two", status=206, content_range="bytes 3-5/6", **version)
    )
    assert fetch(world, folder).sha256 == sha256(b"onetwo")
    first, second = (sent.headers for sent in world.sent)
    assert {"Range", "If-Range"}.isdisjoint(first)
    assert (second["Range"], second["If-Range"]) == ("bytes=3-", *version.values())


@pytest.mark.parametrize("headers", [{}, {"etag": 'W/"v1"'}], ids=["none", "weak"])
def test_download_without_a_version_starts_over(world, folder, headers):
    world.script(body(b"one", breaks=lost(), **headers), body(b"onetwo", **headers))
    assert fetch(world, folder).sha256 == sha256(b"onetwo")
    assert ["Range" in sent.headers for sent in world.sent] == [False, False]


def test_complete_file_after_a_break_is_accepted(world, folder):
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
)
def test_other_part_than_requested_is_refused(world, folder, headers):
    world.script(
        body(b"one", etag='"v1"', breaks=lost()), body(b"two", status=206, **headers), body(b"fresh!", etag='"v2"')
    )
    assert fetch(world, folder).sha256 == sha256(b"fresh!")
    assert "another part of the file than was requested" in " ".join(text for _, text in world.lines)


@pytest.mark.parametrize("first", [[], [body(b"one", breaks=lost())]], ids=["at first", "after a break"])
def test_part_that_was_not_requested_is_refused(world, folder, first):
    start = 3 * len(first)
    world.script(*first, body(b"two", status=206, content_range=f"bytes {start}-5/6"), body(b"onetwo"))
    assert fetch(world, folder).sha256 == sha256(b"onetwo")


def test_range_beyond_the_end_starts_over(world, folder):
    files = Files(world, {1: DATA})

    def without_length(call):
        del files.instead[1]
        return body(DATA, etag=files.tags[1], breaks=lost("reset before the end was sure"))

    files.instead[1] = without_length
    assert fetch(world, folder).sha256 == sha256(DATA)
    assert files.requested == [(1, None), (1, f"bytes={len(DATA)}-"), (1, None)]


def test_416_without_a_range_is_an_error(world, folder):
    world.script(http_error(416, "Range Not Satisfiable"))
    with pytest.raises(ApiError, match="416"):
        fetch(world, folder)
    assert names(folder) == []


@pytest.mark.parametrize("length", ["5", "7", "0"])
def test_other_length_than_announced_is_an_error(world, folder, length):
    world.script(body(b"onetwo", content_length=length))
    with pytest.raises(IntegrityError, match=f"received 6 bytes, the server announced {length}"):
        fetch(world, folder)
    assert names(folder) == []


@pytest.mark.parametrize(("total", "is_complete"), [("9", False), ("6", True), ("*", True)])
def test_total_length_counts_after_a_break(world, folder, total, is_complete):
    world.script(body(b"one", etag='"v1"', breaks=lost()), body(b"two", **PART, content_range=f"bytes 3-5/{total}"))
    if is_complete:
        assert fetch(world, folder).size == 6
    else:
        with pytest.raises(IntegrityError, match="received 6 bytes, the server announced 9"):
            fetch(world, folder)


@pytest.mark.parametrize("length", [{}, {"content_length": "many"}, {"content_length": "9" * 5_000}])
def test_missing_length_is_not_checked(world, folder, length):
    world.script(body(b"onetwo", **length), body(b"onetwo", content_length="3", content_encoding="gzip"))
    assert [fetch(world, folder).size, fetch(world, folder).size] == [6, 6]


def test_zip_is_checked_and_digested(world, folder):
    data = zip_of(a="select 1;", b="select 2;")
    Files(world, {1: data})
    file = fetch(world, folder, "RESULT.ZIP")
    assert file.sha256 == sha256(data) != file.content


def test_file_that_is_not_a_zip_is_refused(world, folder):
    world.script(body(b"<html>Back soon</html>"))
    with pytest.raises(IntegrityError, match=r"result.zip is not a complete ZIP file"):
        fetch(world, folder, "result.zip")
    assert names(folder) == []


def test_tolerance_counts_from_the_last_piece(folder):
    world = World(outage_tolerance=60.0)
    pieces = [body(b"x", etag='"v1"', breaks=lost())]
    for number in range(1, 20):
        more = body(b"x", **PART, content_range=f"bytes {number}-19/20", breaks=lost())
        pieces += [unreachable(), unreachable(), more]
    pieces[-1].breaks = None
    world.script(*pieces)
    assert fetch(world, folder).size == 20
    assert world.now > 60.0


def test_long_outage_leaves_no_file(folder):
    world = World(outage_tolerance=60.0)
    world.script(body(b"one", etag='"v1"', breaks=lost()), forever=unreachable())
    with pytest.raises(ConnectionFailedError, match="GET /api/v1/downloads/1"):
        fetch(world, folder)
    assert names(folder) == []


def test_missing_download_fails_immediately(world, folder):
    Files(world, {})
    with pytest.raises(NotFoundError, match="No record found for id '1'"):
        fetch(world, folder)
    assert (names(folder), len(world.sent)) == ([], 1)


def test_expired_token_is_renewed_in_the_middle(world, folder):
    world.script(
        body(b"one", etag='"v1"', breaks=lost()),
        http_error(401, "jwt expired"),
        ok({"accessToken": "new"}, 201),
        body(b"two", **PART, content_range="bytes 3-5/6"),
    )
    assert fetch(world, folder).sha256 == sha256(b"onetwo")
    assert world.sent[-1].call.token == "new"


def test_stop_ends_a_file_at_its_next_piece(world, folder):
    stop = StopSignal()

    def pieces():
        yield b"one"
        stop.set()
        yield b"two"

    response = body()
    response.pieces = pieces()
    world.script(response)
    with pytest.raises(StoppedError):
        fetch(world, folder, stop=stop)
    assert names(folder) == []


def test_stop_ends_the_check_of_a_zip(world, folder, monkeypatch):
    """It may take longer than Airflow waits for a killed task."""
    stop = StopSignal()
    digest = download_sink.content_digest

    def stopped(*arguments):
        stop.set()
        return digest(*arguments)

    monkeypatch.setattr(download_sink, "content_digest", stopped)
    Files(world, {1: zip_of(a="select 1;")})
    with pytest.raises(StoppedError):
        fetch(world, folder, "result.zip", stop)
    assert names(folder) == []


def test_sink_error_names_the_file(world, tmp_path):
    (tmp_path / ".result.sql.1.part").mkdir()
    Files(world, {1: DATA})
    with pytest.raises(DownloadError, match=r"/result.sql cannot be stored: "):
        fetch(world, on_disk(tmp_path))
    assert len(world.sent) == 1


def test_full_disk_error_names_the_file(tmp_path):
    sink = DownloadSink(on_disk(tmp_path), "result.sql", 1)
    sink.begin(Response(200, {}))
    with open("/dev/full", "wb", buffering=0) as full:
        sink._target.file = full
        with pytest.raises(DownloadError, match=r"/result.sql cannot be stored: .*No space left on device"):
            sink.write(b"data")
        sink.discard()
    assert names(on_disk(tmp_path)) == []
