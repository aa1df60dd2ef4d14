"""How much and how deep an answer may be: each limit ends a call soon, and memory stays bounded."""

from __future__ import annotations

import gzip
import json
import zlib

import pytest

from mkw_airflow_provider.client.api.builds import create_build
from mkw_airflow_provider.client.api.catalog import find_projects
from mkw_airflow_provider.client.request import MAX_ERROR_BODY, MAX_JSON_BODY, Request
from mkw_airflow_provider.client.session import OutcomeUnknownError
from mkw_airflow_provider.exceptions import (
    ApiError,
    BadRequestError,
    ConnectionFailedError,
    ProtocolError,
    ServerError,
)

MEBIBYTE = 1024 * 1024
BUILD = create_build(project_id=402, instances=[{"id": 1001}])


def endless(head):
    """An answer whose body never ends."""

    def answer(request):
        yield head
        while True:
            yield b" " * 65536

    return answer


def test_a_body_of_64_mib_is_the_largest(once, serve):
    assert MAX_JSON_BODY == 64 * MEBIBYTE
    body = b"[" + b" " * (MAX_JSON_BODY - 2) + b"]"
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
    assert once(serve(lambda request: [head % len(body), body])) == []
    with pytest.raises(ProtocolError, match="the answer to GET /api/v1/projects is larger than 67108864 bytes"):
        once(serve(lambda request: [head % (len(body) + 1), body, b" "]))


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\n\r\n[",
        b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n[",
        b"HTTP/1.0 200 OK\r\n\r\n[",
    ],
)
def test_an_endless_body_is_left_at_the_limit(once, serve, peak, head):
    server = serve(endless(head))
    with peak, pytest.raises(ProtocolError, match="is larger than 67108864 bytes"):
        once(server)
    assert peak.mebibytes < 160


def test_an_endless_answer_in_chunks(metakraftwerk, connect):
    metakraftwerk.fault("endless", path="/api/*", times=None)
    with pytest.raises(ProtocolError, match="is larger than 67108864 bytes"):
        connect(extra={"outage_tolerance": 0}).call(find_projects())
    assert len(connect().transport.masked) == 1


@pytest.mark.parametrize("status", [302, 400, 404, 500, 503])
def test_an_endless_error_is_cut(once, serve, peak, status):
    """Of a redirect too, whose body nobody needs."""
    assert MAX_ERROR_BODY == 64 * 1024
    server = serve(endless(b"HTTP/1.1 %d X\r\nLocation: /x\r\n\r\nno way " % status))
    with peak, pytest.raises(ApiError) as caught:
        once(server)
    assert (caught.value.status, caught.value.message) == (status, "no way")
    assert peak.mebibytes < 8


def test_a_message_behind_the_limit_of_an_error_is_not_read(once, serve):
    body = json.dumps({"padding": "x" * MAX_ERROR_BODY, "message": "far behind"}).encode()
    server = serve(lambda request: b"HTTP/1.1 400 X\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    with pytest.raises(BadRequestError) as caught:
        once(server)
    assert len(caught.value.message) == 2000
    assert caught.value.message.startswith('{"padding": "xxx')


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_body_that_swells_is_left_at_the_limit(once, serve, peak, coding):
    """A few hundred kilobytes that decode to more than is allowed, though nothing coded was asked for."""
    coder = zlib.compressobj(level=1, wbits=31 if coding == "gzip" else 15)
    bomb = [coder.compress(b" " * MEBIBYTE) for _ in range(100)] + [coder.flush()]
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\nContent-Length: {sum(map(len, bomb))}\r\n\r\n"
    server = serve(lambda request: [head.encode(), *bomb])
    with peak, pytest.raises((ProtocolError, ConnectionFailedError)):
        once(server)
    assert peak.mebibytes < 160


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_coded_body_is_read_though_nothing_coded_was_asked_for(once, serve, coding):
    body = (gzip.compress if coding == "gzip" else zlib.compress)(b'[{"id": 1, "name": "P"}]')
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    assert [project.name for project in once(serve(lambda request: [head, body]))] == ["P"]


def test_a_coded_body_that_is_none(once, serve):
    server = serve(lambda request: b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n[]")
    with pytest.raises(ConnectionFailedError, match=r"GET /api/v1/projects at .* got no response"):
        once(server)


@pytest.mark.parametrize("depth", [10_000, 1_000_000])
def test_deeply_nested_json_makes_no_sense(metakraftwerk, connect, depth):
    metakraftwerk.fault("nested", path="/api/*", depth=depth, times=None)
    with pytest.raises(ProtocolError, match=r"is not the documented JSON: \[\[\["):
        connect(extra={"outage_tolerance": 0}).call(find_projects())


def test_a_deeply_nested_error_is_text(metakraftwerk, api):
    body = "[" * 50_000
    metakraftwerk.fault("status", path="/api/*", status=404, body=body, content_type="application/json")
    with pytest.raises(ApiError) as caught:
        api.call(find_projects())
    assert caught.value.message == "[" * 2000


@pytest.mark.parametrize("digits", [5000, 1_000_000])
def test_a_number_of_too_many_digits_makes_no_sense(once, serve, digits):
    body = b"[" + b"9" * digits + b"]"
    server = serve(lambda request: b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    with pytest.raises(ProtocolError, match="not the documented JSON"):
        once(server)


NONSENSE = {
    "no HTTP": b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
    "no status": b"HTTP/1.1 abc OK\r\n\r\n",
    "a status line without an end": b"HTTP/1.1 200 " + b"x" * 200_000 + b"\r\n\r\n",
    "a header without an end": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000 + b"\r\n\r\n",
    "a thousand headers": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000 + b"\r\n",
    "a chunk of no size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n[]\r\n",
    "a chunk that ends early": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n[",
    "nothing": b"",
}


@pytest.mark.parametrize("answer", NONSENSE.values(), ids=NONSENSE)
def test_what_is_no_http_is_no_answer(once, serve, answer):
    def say(request):
        yield answer
        raise OSError("and the connection ends")

    with pytest.raises(ConnectionFailedError, match=r"GET /api/v1/projects at .* got no response"):
        once(serve(say))
    with pytest.raises(OutcomeUnknownError):
        once(serve(say), BUILD)


def test_a_body_without_a_length_ends_with_its_connection(once, serve):
    def answer(request):
        yield b"HTTP/1.1 200 OK\r\n\r\n[]"
        raise OSError("the connection ends")

    assert once(serve(answer)) == []


@pytest.mark.parametrize("asked", ["99999999999", "1e308", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_a_huge_retry_after_is_cut_to_the_tolerance(metakraftwerk, api, asked):
    metakraftwerk.fault("status", path="/api/*", status=503, headers={"Retry-After": asked}, times=None)
    with pytest.raises(ServerError, match=r"2 attempts in 2 s"):
        api.call(find_projects())
    assert api.clock.pauses == [2.0]


def test_the_limits_hold_for_every_status():
    call = Request("GET", "/", lambda reply: reply)
    assert {status: call.body_limit(status) for status in (200, 299, 199, 300, 404, 500)} == {
        200: MAX_JSON_BODY,
        299: MAX_JSON_BODY,
        199: MAX_ERROR_BODY,
        300: MAX_ERROR_BODY,
        404: MAX_ERROR_BODY,
        500: MAX_ERROR_BODY,
    }
