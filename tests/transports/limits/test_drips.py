"""An answer that goes on for ever, a byte now and then or as fast as it can: whatever does so, the call ends."""

from __future__ import annotations

import itertools
import time

import pytest

from mkw_airflow_provider.client.api.downloads import get_file
from mkw_airflow_provider.exceptions import ConnectionFailedError

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"

#: How an answer begins, and what it then repeats.
PARTS = {
    "status line": (b"HTTP/1.1 200 ", b"x"),
    "header": (OK + b"X: ", b"x"),
    "headers": (OK, b"X: y\r\n"),
    "answers that announce another": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "body": (OK + b"Content-Length: 100000\r\n\r\n", b" "),
    "body of an error": (b"HTTP/1.1 500 X\r\nContent-Length: 100000\r\n\r\n", b" "),
    "body of a redirect": (b"HTTP/1.1 302 X\r\nLocation: /x\r\nContent-Length: 100000\r\n\r\n", b" "),
    "body without a length": (OK + b"\r\n", b" "),
    "chunks": (CHUNKED, b"1\r\n \r\n"),
    "size of a chunk": (CHUNKED, b"0"),
    "extension of a chunk": (CHUNKED + b"1;", b"x"),
    "trailer": (CHUNKED + b"1\r\n \r\n0\r\nX: ", b"x"),
    "trailers": (CHUNKED + b"1\r\n \r\n0\r\n", b"X: y\r\n"),
}
#: What has no length that the server must name. The headers and trailers aiohttp counts since 3.14.
UNCOUNTED = ("status line", "header", "headers", "answers that announce another", "size of a chunk", "trailers")


def dripping(begin, piece, sent):
    """An answer that takes ten times as long as is allowed, if nobody ends it."""

    def answer(request):
        yield begin
        for number in range(250):
            sent.append(number)
            yield piece
            time.sleep(0.02)

    return answer


@pytest.mark.parametrize("part", PARTS)
def test_an_answer_that_drips_ends_after_ten_read_timeouts(once, serve, part):
    sent = []
    with pytest.raises(ConnectionFailedError, match="the answer was not whole after 10 read time-outs"):
        once(serve(dripping(*PARTS[part], sent)), read_timeout=0.05)
    assert 1 < len(sent) < 125


@pytest.mark.parametrize("part", UNCOUNTED)
def test_an_answer_that_floods_ends_and_is_not_kept(once, serve, peak, part):
    begin, piece = PARTS[part]
    server = serve(lambda request: itertools.chain([begin], itertools.repeat(piece * 10_000, 100_000)))
    with peak, pytest.raises(ConnectionFailedError, match=r"GET /api/v1/projects at .* got no response"):
        once(server, read_timeout=0.05)
    assert peak.mebibytes < 16


class Slow:
    """A sink that takes its time, like a store that is busy."""

    def __init__(self, seconds=0.0):
        self.seconds = seconds
        self.received = 0

    def headers(self):
        return {}

    def begin(self, reply):
        self.received = 0

    def write(self, piece):
        time.sleep(self.seconds)
        self.received += len(piece)


@pytest.fixture
def fetch(connect_over, over_requests):
    """Fetch a file, once, with short time-outs. Only the transport of a worker streams."""

    def call(server, sink):
        short = {"token": "t", "outage_tolerance": 0, "read_timeout": 0.05, "connect_timeout": 5}
        connect_over(over_requests, host=server.url, extra=short).call(get_file(5442, sink))

    return call


@pytest.mark.parametrize("part", [part for part in PARTS if "error" not in part and "redirect" not in part])
def test_a_file_that_drips_ends(fetch, serve, part):
    sent = []
    with pytest.raises(ConnectionFailedError, match=r"not whole after|no piece of|bytes came within 0 s"):
        fetch(serve(dripping(*PARTS[part], sent)), Slow())
    assert 1 < len(sent) < 125


def test_a_file_that_floods_behind_its_end_ends(fetch, serve):
    begin, piece = PARTS["trailers"]
    server = serve(lambda request: itertools.chain([begin], itertools.repeat(piece * 1000, 100_000)))
    with pytest.raises(ConnectionFailedError, match=r"GET /api/v1/downloads/5442 at .* got no response"):
        fetch(server, Slow())


def test_a_file_may_take_longer_than_ten_read_timeouts_be_it_the_store_or_the_server_that_is_slow(fetch, serve):
    def answer(request):
        yield OK + b"Content-Length: 20480\r\n\r\n"
        for _ in range(20):
            yield b" " * 1024
            time.sleep(0.03)

    sink = Slow(seconds=0.06)
    fetch(serve(answer), sink)
    assert sink.received == 20480
