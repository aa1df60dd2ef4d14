"""A POST must not take effect twice: it is resent only if it certainly did nothing, else its outcome is unknown."""

from __future__ import annotations

import pytest

from mkw_airflow_provider.client.api.build_deployments import create_build_deployment
from mkw_airflow_provider.client.api.builds import create_build
from mkw_airflow_provider.client.session import OutcomeUnknownError
from mkw_airflow_provider.exceptions import ApiError, ConnectionFailedError, RateLimitedError, ServerError

BUILDS, DEPLOYMENTS = "/api/v1/builds", "/api/v1/build_deployments"
BUILD = create_build(project_id=402, instances=[{"id": 1001}])
DEPLOYMENT = create_build_deployment(build_id=5139, pattern_id=808, deployment_id=1)


@pytest.fixture(params=[BUILDS, DEPLOYMENTS])
def create(request, metakraftwerk, api):
    """Each of the two POSTs, on a connection that is already open, as it usually is."""
    metakraftwerk.set(build_seconds=0)
    metakraftwerk.start_build()
    api.run(api.session.token())
    return BUILD if request.param == BUILDS else DEPLOYMENT


def made(metakraftwerk, create):
    """Return how many requests arrived, and how often they took effect."""
    work = metakraftwerk.builds()[1:] if create is BUILD else metakraftwerk.build_deployments()
    return len(metakraftwerk.requests("POST", create.path)), len(work)


REFUSED = {
    "429": {"status": 429},
    "429 with Retry-After": {"status": 429, "headers": {"Retry-After": "1"}},
    "425": {"status": 425},
    "503 with Retry-After": {"status": 503, "headers": {"Retry-After": "1"}},
}


@pytest.mark.parametrize("arguments", REFUSED.values(), ids=REFUSED)
def test_refused_post_is_resent(metakraftwerk, api, create, arguments):
    metakraftwerk.fault("status", method="POST", path=create.path, times=2, **arguments)
    api.call(create)
    assert made(metakraftwerk, create) == (3, 1)


@pytest.mark.parametrize("arguments", REFUSED.values(), ids=REFUSED)
def test_post_refused_for_too_long_is_an_error(metakraftwerk, api, create, arguments):
    metakraftwerk.fault("status", method="POST", path=create.path, times=None, **arguments)
    kind = {429: RateLimitedError, 503: ServerError}.get(arguments["status"], ApiError)
    with pytest.raises(kind) as caught:
        api.call(create)
    attempts, work = made(metakraftwerk, create)
    assert work == 0
    assert f"POST {create.path} returned {arguments['status']}: " in str(caught.value)
    assert f"{attempts} attempts in 2 s" in str(caught.value)


def test_refused_connection_is_retried(metakraftwerk, api, create):
    metakraftwerk.stop()
    api.clock.meanwhile = [lambda: None, metakraftwerk.start]
    api.call(create)
    assert made(metakraftwerk, create) == (1, 1)
    assert api.clock.pauses == [0.5, 0.5]


def test_unreachable_server_is_an_error(metakraftwerk, api, create):
    metakraftwerk.stop()
    with pytest.raises(ConnectionFailedError) as caught:
        api.call(create)
    assert f"POST {create.path} at {metakraftwerk.url} got no response: " in str(caught.value)
    assert "5 attempts in 2 s" in str(caught.value)


def test_unknown_host_is_retried(connect):
    api = connect(host="metakraftwerk.invalid", extra={"token": "t"})
    with pytest.raises(ConnectionFailedError):
        api.call(BUILD)
    assert api.clock.pauses == [0.5] * 4


LOST = {
    "reset before the work": ("reset", {}, 0),
    "reset after the work": ("reset", {"work": True}, 1),
    "closed before the work": ("close", {}, 0),
    "closed after the work": ("close", {"work": True}, 1),
    "truncated": ("truncate", {}, 1),
    "only the headers": ("truncate", {"fraction": 0}, 1),
    "408": ("status", {"status": 408}, 0),
    "502": ("status", {"status": 502}, 0),
    "502 after the work": ("status", {"status": 502, "work": True}, 1),
    "503": ("status", {"status": 503}, 0),
    "504 after the work": ("status", {"status": 504, "work": True}, 1),
    "504 with Retry-After": ("status", {"status": 504, "headers": {"Retry-After": "1"}}, 0),
    "HTML 200": ("status", {"status": 200, "body": "<h1>Busy</h1>"}, 0),
    "201 without a body": ("status", {"status": 201, "body": "", "work": True}, 1),
    "201 of another form": ("status", {"status": 201, "body": {"ok": True}, "work": True}, 1),
    "nested": ("nested", {"depth": 100_000}, 0),
}


@pytest.mark.parametrize(("action", "arguments", "work"), LOST.values(), ids=LOST)
def test_post_with_unknown_outcome_is_not_resent(metakraftwerk, api, create, action, arguments, work):
    metakraftwerk.fault(action, method="POST", path=create.path, times=None, **arguments)
    with pytest.raises(OutcomeUnknownError, match=f"^POST {create.path}"):
        api.call(create)
    assert made(metakraftwerk, create) == (1, work)
    assert api.clock.pauses == []


def test_post_that_times_out_is_not_resent(metakraftwerk, connect):
    metakraftwerk.fault("delay", method="POST", path=BUILDS, delay=3, times=None)
    api = connect(extra={"read_timeout": 1.0})
    with pytest.raises(OutcomeUnknownError, match=r"(?i)time"):
        api.call(BUILD)
    assert len(metakraftwerk.requests("POST", BUILDS)) == 1


@pytest.mark.parametrize("status", [501, 505])
def test_error_of_the_application_is_final(metakraftwerk, api, create, status):
    """Not a gateway, but the application reports the error; a retry could do the work twice."""
    metakraftwerk.fault("status", method="POST", path=create.path, status=status, times=None)
    with pytest.raises(ServerError) as caught:
        api.call(create)
    assert caught.value.status == status
    assert made(metakraftwerk, create) == (1, 0)
    assert api.clock.pauses == []


def test_redirect_is_not_followed(metakraftwerk, api, create):
    metakraftwerk.fault("redirect", method="POST", path=create.path, location="/api/v1/builds", status=307)
    with pytest.raises(ApiError) as caught:
        api.call(create)
    assert caught.value.status == 307
    assert made(metakraftwerk, create) == (1, 0)


def test_earlier_error_does_not_decide(metakraftwerk, connect, api):
    """An earlier refused connection is the context of the next error, but not its cause."""
    with pytest.raises(ConnectionFailedError) as before:
        connect(host="http://127.0.0.1:9", extra={"token": "t"}).call(BUILD)
    metakraftwerk.fault("reset", method="POST", path=BUILDS, work=True, times=None)
    try:
        raise before.value
    except ConnectionFailedError:
        with pytest.raises(OutcomeUnknownError):
            api.call(BUILD)
    assert made(metakraftwerk, BUILD)[0] == 1
