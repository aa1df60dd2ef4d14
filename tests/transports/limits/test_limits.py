"""How large, deep and slow a response may be: each limit ends a request, and memory stays bounded."""

from __future__ import annotations

import gzip
import json
import threading
import time
import tracemalloc
import zlib

import pytest

from mkw_airflow_provider.client.api.builds import create_build, get_build
from mkw_airflow_provider.client.api.downloads import get_file
from mkw_airflow_provider.client.api.projects import find_projects
from mkw_airflow_provider.client.request import MAX_ERROR_BODY, MAX_LIST_BODY, MAX_OBJECT_BODY, Request
from mkw_airflow_provider.client.rows import read_list
from mkw_airflow_provider.client.session import OutcomeUnknownError
from mkw_airflow_provider.exceptions import ApiError, BadRequestError, ConnectionFailedError, ProtocolError

MEBIBYTE = 1024 * 1024
BUILD = create_build(project_id=402, instances=[{"id": 1001}])
ONE = get_build(1)
OK = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture
def peak():
    """Measure the most memory that Python objects took in a block, in MiB."""

    class Peak:
        def __enter__(self):
            tracemalloc.start()
            return self

        def __exit__(self, *_):
            self.mebibytes = tracemalloc.get_traced_memory()[1] / MEBIBYTE
            tracemalloc.stop()

    return Peak()


@pytest.fixture
def once(connect):
    """Send a request once, so that only the tested limit can end it."""

    def call(server, request=ONE, **extra):
        api = connect(host=server.url, extra={"token": "t", "outage_tolerance": 0} | extra)
        return api.call(request)

    return call


def endless(head):
    """A response whose body never ends."""

    def response(request):
        yield head
        while True:
            yield b" " * 65536

    return response


def with_length(body, head=OK):
    return head + b"Content-Length: %d\r\n\r\n%s" % (len(body), body)


def test_limits_of_each_kind_of_response():
    limits = {
        (request, status): request.body_limit(status) for request in (ONE, find_projects()) for status in (200, 404)
    }
    assert list(limits.values()) == [MEBIBYTE, 65536, 256 * MEBIBYTE, 65536]
    assert (MAX_OBJECT_BODY, MAX_ERROR_BODY, MAX_LIST_BODY) == (MEBIBYTE, 65536, 256 * MEBIBYTE)


def test_object_may_have_1_mib(once, serve):
    body = b'{"id": 1, "status": "BUILDING"}'.ljust(MEBIBYTE)
    assert once(serve(lambda request: with_length(body))).id == 1
    with pytest.raises(ProtocolError, match="the response to GET /api/v1/builds/1 is larger than 1048576 bytes"):
        once(serve(lambda request: with_length(body + b" ")))


def test_list_may_be_larger(once, serve):
    body = b'[{"id": 1, "name": "P"}]'.ljust(2 * MEBIBYTE)
    assert [project.id for project in once(serve(lambda request: with_length(body)), find_projects())] == [1]


@pytest.mark.parametrize("head", [OK, OK + b"Content-Length: 999999999999\r\n", b"HTTP/1.0 200 OK\r\n"])
def test_endless_body_is_left_at_the_limit(once, serve, peak, head):
    server = serve(endless(head + b"\r\n{"))
    with peak, pytest.raises(ProtocolError, match="is larger than 1048576 bytes"):
        once(server)
    assert peak.mebibytes < 8


def test_endless_chunks_are_left_at_the_limit(metakraftwerk, connect):
    metakraftwerk.fault("endless", path="/api/*", times=None)
    with pytest.raises(ProtocolError, match="is larger than 1048576 bytes"):
        connect(extra={"outage_tolerance": 0}).call(ONE)


@pytest.mark.parametrize("status", [302, 404, 503])
def test_endless_error_is_cut(once, serve, peak, status):
    """Also the body of a redirect, which is not needed."""
    server = serve(endless(b"HTTP/1.1 %d X\r\nLocation: /x\r\n\r\nno way " % status))
    with peak, pytest.raises(ApiError) as caught:
        once(server)
    assert (caught.value.status, caught.value.message) == (status, "no way")
    assert peak.mebibytes < 8


def test_message_beyond_the_limit_is_not_read(once, serve):
    body = json.dumps({"padding": "x" * MAX_ERROR_BODY, "message": "far behind"}).encode()
    with pytest.raises(BadRequestError) as caught:
        once(serve(lambda request: with_length(body, b"HTTP/1.1 400 X\r\n")))
    assert len(caught.value.message) == 2000
    assert caught.value.message.startswith('{"padding": "xxx')


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_coded_body_is_decoded_up_to_the_limit(once, serve, peak, coding):
    """Compression was not requested, but is accepted, and a few kilobytes cannot expand to gigabytes."""
    head = OK + b"Content-Encoding: %s\r\n" % coding.encode()
    encode = gzip.compress if coding == "gzip" else zlib.compress
    assert once(serve(lambda request: with_length(encode(b'{"id": 1, "status": "BUILDING"}'), head))).id == 1
    bomb = encode(b" " * 100 * MEBIBYTE)
    with peak, pytest.raises((ProtocolError, ConnectionFailedError)):
        once(serve(lambda request: with_length(bomb, head)))
    assert peak.mebibytes < 32


def test_wrong_content_encoding_is_an_error(once, serve):
    with pytest.raises(ConnectionFailedError, match=r"GET /api/v1/builds/1 at .* got no response"):
        once(serve(lambda request: with_length(b"{}", OK + b"Content-Encoding: gzip\r\n")))


@pytest.mark.parametrize("body", [b"[" * 10_000, b"[" * 1_000_000, b"9" * 5000], ids=["deep", "deeper", "digits"])
def test_absurd_json_is_not_the_documented_json(once, serve, body):
    with pytest.raises(ProtocolError, match=r"is not the documented JSON|must be a JSON object"):
        once(serve(lambda request: with_length(body)))


def test_deep_json_of_an_error_is_text(metakraftwerk, api):
    body = "[" * 50_000
    metakraftwerk.fault("status", path="/api/*", status=400, body=body, content_type="application/json")
    with pytest.raises(ApiError) as caught:
        api.call(ONE)
    assert caught.value.message == "[" * 2000


NONSENSE = {
    "no HTTP": b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
    "no status": b"HTTP/1.1 abc OK\r\n\r\n",
    "a status line without an end": b"HTTP/1.1 200 " + b"x" * 200_000 + b"\r\n\r\n",
    "a header without an end": OK + b"X: " + b"x" * 200_000 + b"\r\n\r\n",
    "a chunk of no size": OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n[]\r\n",
    "a chunk that ends early": OK + b"Transfer-Encoding: chunked\r\n\r\n10\r\n[",
    "nothing": b"",
}


@pytest.mark.parametrize("response", NONSENSE.values(), ids=NONSENSE)
def test_invalid_http_is_no_response(once, serve, response):
    def say(request):
        yield response
        raise OSError("and the connection ends")

    with pytest.raises(ConnectionFailedError, match=r"GET /api/v1/builds/1 at .* got no response"):
        once(serve(say))
    with pytest.raises(OutcomeUnknownError):
        once(serve(say), BUILD)


def test_body_without_length_ends_with_connection(once, serve):
    def response(request):
        yield OK + b"\r\n[]"
        raise OSError("the connection ends")

    assert once(serve(response), find_projects()) == []


def test_slow_body_times_out(once, serve):
    """Each byte arrives in time, but a response that is not a file must also be complete in time."""

    def drip(request):
        yield OK + b"Content-Length: 100000\r\n\r\n"
        while True:
            yield b" "
            time.sleep(0.01)

    with pytest.raises(ConnectionFailedError, match=r"GET /api/v1/builds/1 at .* got no response"):
        once(serve(drip), connect_timeout=0.2, read_timeout=0.2)


class Sink:
    """Receive a file and discard it."""

    received = 0

    def headers(self):
        return {}

    def begin(self, reply):
        self.received = 0

    def write(self, piece):
        self.received += len(piece)


def test_stalled_file_times_out(connect_over, over_requests, serve):
    done = threading.Event()

    def stall(request):
        yield OK + b"Content-Length: 100000\r\n\r\n" + b"x" * 50_000
        done.wait(60)

    sink = Sink()
    extra = {"token": "t", "outage_tolerance": 0, "read_timeout": 0.2}
    with pytest.raises(ConnectionFailedError, match=r"GET /api/v1/downloads/5442 at .*time"):
        connect_over(over_requests, host=serve(stall).url, extra=extra).call(get_file(5442, sink))
    done.set()
    assert sink.received == 50_000


def test_list_is_decoded_off_the_event_loop(connect_over, over_aiohttp, serve):
    threads = []
    server = serve(lambda request: with_length(b"[1, 2]"))
    request = Request("GET", "/rows", read_list(lambda row: threads.append(threading.get_ident())))
    api = connect_over(over_aiohttp, host=server.url, extra={"token": "t"})
    api.call(request)

    async def loop_thread():
        return threading.get_ident()

    assert len(threads) == 2
    assert over_aiohttp.do(loop_thread()) not in threads
