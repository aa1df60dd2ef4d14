"""``Retry-After``, as seconds and as a date, within what is left of the tolerance."""

from __future__ import annotations

from email.utils import formatdate

import pytest

from mkw_airflow_provider.client.api.projects import find_projects
from mkw_airflow_provider.client.request import Response
from mkw_airflow_provider.exceptions import RateLimitedError, ServerError


@pytest.mark.parametrize("status", [429, 503, 502, 500])
@pytest.mark.parametrize(
    ("value", "pause"), [("7", 7.0), ("1.5", 1.5), ("0", 0.5), ("-3", 0.5), ("soon", 0.5), ("", 0.5)]
)
def test_seconds_are_waited(connect, fault, sent, status, value, pause):
    fault("status", times=1, status=status, headers={"Retry-After": value})
    api = connect(extra={"outage_tolerance": 60})
    assert len(api.call(find_projects())) == 4
    assert api.clock.pauses == [pause]
    assert sent() == 2


def test_date_counts_from_the_date_header(connect, serve):
    """The clocks of worker and server need not agree."""
    dates = "Date: Sun, 01 Jan 2040 00:00:00 GMT\r\nRetry-After: Sun, 01 Jan 2040 00:00:20 GMT"
    busy = f"HTTP/1.1 503 Busy\r\n{dates}\r\nContent-Length: 0\r\n\r\n"
    responses = iter([busy, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"])
    server = serve(lambda request: next(responses).encode())
    api = connect(host=server.url, extra={"token": "t", "outage_tolerance": 60})
    assert api.call(find_projects()) == []
    assert api.clock.pauses == [20.0]


def test_date_without_server_date_uses_local_clock(connect, serve):
    responses = iter([503, 200])

    def response(request):
        moment = formatdate(api.clock.wall() + 20, usegmt=True)
        return f"HTTP/1.1 {next(responses)} X\r\nRetry-After: {moment}\r\nContent-Length: 2\r\n\r\n[]".encode()

    server = serve(response)
    api = connect(host=server.url, extra={"token": "t", "outage_tolerance": 60})
    assert api.call(find_projects()) == []
    assert api.clock.pauses == [20.0]


@pytest.mark.parametrize("value", ["3600", "1e300", "inf", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_long_wait_is_capped_by_the_tolerance(connect, fault, sent, value):
    fault("status", times=None, status=429, headers={"Retry-After": value})
    api = connect(extra={"outage_tolerance": 60})
    with pytest.raises(RateLimitedError) as caught:
        api.call(find_projects())
    assert api.clock.pauses == [60.0]
    assert sent() == 2
    assert caught.value.status == 429
    assert "2 attempts in 60 s" in str(caught.value)


def test_last_attempt_is_at_the_tolerance_end(connect, fault, sent):
    fault("status", times=1, status=503, headers={"Retry-After": "3600"})
    api = connect(extra={"outage_tolerance": 60})
    assert len(api.call(find_projects())) == 4
    assert (api.clock.pauses, sent()) == ([60.0], 2)


def test_final_error_ignores_retry_after(fault, api, sent):
    fault("status", times=None, status=501, headers={"Retry-After": "1"})
    with pytest.raises(ServerError):
        api.call(find_projects())
    assert sent() == 1


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 7 "}, 7.0),
        ({"retry-after": "nan"}, 0.0),
        ({"retry-after": "Thu, 01 Jan 1970 00:16:50 GMT"}, 10.0),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0.0),
        ({"retry-after": "Thu, 01 Jan 1970 00:16:50 GMT", "date": "Thu, 01 Jan 1970 00:16:45 GMT"}, 5.0),
        ({"retry-after": "Thu, 01 Jan 1970 00:16:50 GMT", "date": "no date"}, 10.0),
        ({"retry-after": "Thu, 01 Jan 1970 00:16:50"}, 10.0),
        ({"retry-after": "Thu, 01 Jan 1970 02:16:50 +0200"}, 10.0),
        ({"retry-after": "Thu, 32 Jan 1970 00:16:50 GMT"}, None),
        ({"retry-after": "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"}, None),
        ({"retry-after": "Mon, 01 Jan 2026 00:00:00 +99999999999999999999"}, None),
        ({"retry-after": "later"}, None),
    ],
)
def test_header_is_parsed(headers, seconds):
    assert Response(503, headers).retry_after(now=1000.0) == seconds
