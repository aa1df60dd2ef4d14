"""A read is retried until it succeeds or ``outage_tolerance`` has passed: each kind of failure."""

from __future__ import annotations

import pytest

from mkw_airflow_provider.client.api.projects import find_projects
from mkw_airflow_provider.exceptions import (
    ApiError,
    ConnectionFailedError,
    ProtocolError,
    RateLimitedError,
    ServerError,
)

PROJECTS = "/api/v1/projects"
HTML = {"status": 200, "body": "<html><h1>Back soon</h1></html>", "content_type": "text/html"}
# What happens, and the class of the error if it lasts too long.
FAILURES = {
    "reset before the work": (("reset", {}), ConnectionFailedError),
    "reset after the work": (("reset", {"work": True}), ConnectionFailedError),
    "closed before the work": (("close", {}), ConnectionFailedError),
    "closed after the work": (("close", {"work": True}), ConnectionFailedError),
    "truncated": (("truncate", {}), ConnectionFailedError),
    "only the headers": (("truncate", {"fraction": 0}), ConnectionFailedError),
    "HTML 200": (("status", HTML), ProtocolError),
    "not JSON": (("status", {"status": 200, "body": '[{"id": 402'}), ProtocolError),
    "not the documented JSON": (("status", {"status": 200, "body": {"data": []}}), ProtocolError),
    "no body": (("status", {"status": 204}), ProtocolError),
    "408": (("status", {"status": 408}), ApiError),
    "425": (("status", {"status": 425}), ApiError),
    "429": (("status", {"status": 429}), RateLimitedError),
    "500": (("status", {"status": 500}), ServerError),
    "502": (("status", {"status": 502, "body": "<h1>Bad Gateway</h1>"}), ServerError),
    "503": (("status", {"status": 503}), ServerError),
    "504": (("status", {"status": 504}), ServerError),
}
each_failure = pytest.mark.parametrize(("fault_set", "kind"), FAILURES.values(), ids=FAILURES)


def requests_of_an_attempt(api, action):
    """aiohttp by itself sends a GET once more where the server drops the connection."""
    return 2 if api.transport.name == "aiohttp" and action in ("reset", "close") else 1


SECRETS = ("demo-password", "Bearer", "eyJ")


@each_failure
def test_failure_within_the_tolerance_is_retried(metakraftwerk, api, fault, sent, fault_set, kind):
    action, arguments = fault_set
    each = requests_of_an_attempt(api, action)
    fault(action, times=2 * each, **arguments)
    assert [project.id for project in api.call(find_projects())] == [402, 403, 404, 405]
    assert sent() == 2 * each + 1
    assert api.clock.pauses == [0.5, 0.5]
    assert len(metakraftwerk.requests(path="/authentication")) == 1


@each_failure
def test_failure_beyond_the_tolerance_is_an_error(metakraftwerk, api, fault, sent, fault_set, kind):
    action, arguments = fault_set
    fault(action, times=None, **arguments)
    with pytest.raises(kind) as caught:
        api.call(find_projects())
    assert type(caught.value) is kind
    assert sent() == 5 * requests_of_an_attempt(api, action)
    assert api.clock.pauses == [0.5] * 4
    text = str(caught.value)
    assert text.startswith("GET /api/v1/projects ")
    assert "5 attempts in 2 s" in text
    assert f"at {metakraftwerk.url}" in text
    if isinstance(caught.value, ApiError):
        assert caught.value.status == arguments["status"]
        assert f" returned {arguments['status']}: " in text
    else:
        assert text.startswith((f"GET {PROJECTS} at {metakraftwerk.url} ", f"GET {PROJECTS} at {metakraftwerk.url}: "))
    assert [secret for secret in SECRETS if secret in text + "".join(api.log.lines)] == []


def test_zero_tolerance_allows_one_attempt(connect, fault, sent):
    fault("status", status=503)
    with pytest.raises(ServerError) as caught:
        connect(extra={"outage_tolerance": 0}).call(find_projects())
    assert caught.value.message == "Service Unavailable"
    assert sent() == 1


def test_success_resets_the_tolerance(api, fault, sent):
    fault("status", times=3, status=503)
    api.call(find_projects())
    fault("status", times=3, status=503)
    api.call(find_projects())
    assert sent() == 8
    assert api.clock.pauses == [0.5] * 6


def test_tolerance_does_not_limit_attempts(connect, fault, sent):
    fault("status", times=20, status=503)
    api = connect(extra={"outage_tolerance": 60})
    api.call(find_projects())
    assert sent() == 21


def test_different_failures_are_one_outage(metakraftwerk, api, fault, sent):
    fault("reset", times=1)
    fault("status", times=1, status=502)
    fault("truncate", times=1)
    fault("status", times=1, **HTML)
    assert len(api.call(find_projects())) == 4
    assert sent() == 5


def test_silent_server_times_out(connect, fault, sent):
    fault("delay", times=None, delay=3)
    api = connect(extra={"read_timeout": 1.0, "outage_tolerance": 1})
    with pytest.raises(
        ConnectionFailedError, match=r"GET /api/v1/projects at .* got no response: .*(?i:time)"
    ) as caught:
        api.call(find_projects())
    assert "3 attempts in 1 s" in str(caught.value)
    assert sent() == 3


def test_server_that_is_silent_for_a_while(connect, fault, sent):
    fault("delay", times=2, delay=3)
    assert len(connect(extra={"read_timeout": 1.0}).call(find_projects())) == 4
    assert sent() == 3


def test_server_that_comes_back(metakraftwerk, api, sent):
    api.call(find_projects())
    metakraftwerk.stop()
    api.clock.meanwhile = [lambda: None, metakraftwerk.start]
    assert len(api.call(find_projects())) == 4
    assert sent() == 2
    assert api.clock.pauses == [0.5, 0.5]


def test_unreachable_server_is_an_error(metakraftwerk, api):
    metakraftwerk.stop()
    with pytest.raises(ConnectionFailedError) as caught:
        api.call(find_projects())
    text = str(caught.value)
    assert text.startswith(f"POST /authentication at {metakraftwerk.url} got no response: ")
    assert "5 attempts in 2 s; the state on the server is unknown" in text


def test_unknown_host_is_an_error(connect):
    api = connect(host="metakraftwerk.invalid", extra={"token": "s3cret-t0ken"})
    with pytest.raises(ConnectionFailedError) as caught:
        api.call(find_projects())
    text = str(caught.value)
    assert text.startswith("GET /api/v1/projects at https://metakraftwerk.invalid got no response: ")
    assert "5 attempts in 2 s" in text
    assert "s3cret-t0ken" not in text + "".join(api.log.lines)


def test_first_failed_attempt_is_logged(metakraftwerk, connect, fault):
    fault("status", times=10, status=503)
    api = connect(extra={"outage_tolerance": 60})
    api.call(find_projects())
    assert len(api.log.lines) == 10
    assert api.log.lines[0] == (
        "GET /api/v1/projects failed (GET /api/v1/projects returned 503: Service Unavailable "
        f"(at {metakraftwerk.url})); retrying in 0.5 s, giving up after 60 s."
    )


def test_no_attempt_starts_after_the_deadline(api, fault, sent):
    fault("status", times=None, status=503)
    with pytest.raises(ServerError):
        api.run(api.session.request(find_projects(), until=api.clock.wall() + 1))
    assert sent() == 3


@pytest.mark.parametrize("host", ["xn--a.invalid", "a_b.invalid", "1.2.3.invalid", "metakraftwerk.invalid."])
def test_odd_unknown_hosts_are_an_error(connect, host):
    with pytest.raises(ConnectionFailedError, match="5 attempts in 2 s"):
        connect(host=host, extra={"token": "t"}).call(find_projects())
