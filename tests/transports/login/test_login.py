"""When a login is sent: decided by the status alone, and only once."""

from __future__ import annotations

import base64
import json

import pytest

from mkw_airflow_provider.client.api.authentication import Token, login
from mkw_airflow_provider.client.api.builds import create_build, find_builds
from mkw_airflow_provider.client.api.projects import find_projects
from mkw_airflow_provider.client.settings import Settings
from mkw_airflow_provider.client.token_cache import TokenCache, token_cache_for
from mkw_airflow_provider.exceptions import NotAuthenticatedError, ProtocolError

LOGIN, PROJECTS = ("POST", "/authentication", 201), ("GET", "/api/v1/projects", 200)
REFUSED = ("GET", "/api/v1/projects", 401)


def sent(metakraftwerk):
    return [(request["method"], request["path"], request["status"]) for request in metakraftwerk.requests()]


def test_login_sends_email_and_password(metakraftwerk, api):
    api.call(find_projects())
    api.call(find_projects())
    assert sent(metakraftwerk) == [LOGIN, PROJECTS, PROJECTS]
    first, *others = metakraftwerk.requests()
    assert first["body"] == {"strategy": "local", "email": "demo@example.com", "password": "***"}
    assert first["authorized"] is False
    assert [request["user_id"] for request in others] == [1, 1]


def test_token_is_masked_and_never_logged(metakraftwerk, api):
    metakraftwerk.fault("status", path="/api/*", status=503, times=2)
    api.call(find_projects())
    (token,) = [row["token"] for row in metakraftwerk.tokens()]
    assert api.transport.masked == [token]
    assert len(api.log.lines) == 2
    assert token not in "".join(api.log.lines)
    assert token not in repr(api.session)
    assert "password='demo-password'" not in repr(api.session)


@pytest.mark.parametrize("message", ["Not authenticated", "jwt expired"])
def test_expired_token_is_renewed_once(metakraftwerk, api, message):
    """The status alone decides, because the message for an expired token is not documented."""
    api.call(find_projects())
    metakraftwerk.set(expired_message=message)
    metakraftwerk.expire_tokens()
    assert len(api.call(find_projects())) == 4
    assert sent(metakraftwerk) == [LOGIN, PROJECTS, REFUSED, LOGIN, PROJECTS]
    assert api.clock.pauses == []
    assert len(set(api.transport.masked)) == 2


def test_post_with_an_expired_token_is_resent(metakraftwerk, api):
    api.call(find_projects())
    metakraftwerk.expire_tokens()
    created = api.call(create_build(project_id=402, instances=[{"id": 1001}]))
    assert [build["id"] for build in metakraftwerk.builds()] == [created.build.id]


def test_second_401_is_final(metakraftwerk, api):
    metakraftwerk.fault("expired", path="/api/*", times=None)
    with pytest.raises(NotAuthenticatedError) as caught:
        api.call(find_projects())
    assert str(caught.value) == "GET /api/v1/projects returned 401: Not authenticated"
    assert sent(metakraftwerk) == [LOGIN, REFUSED, LOGIN, REFUSED]
    assert api.clock.pauses == []


def test_refused_second_login_is_final(metakraftwerk, api):
    api.call(find_projects())
    metakraftwerk.expire_tokens()
    metakraftwerk.fault("status", path="/authentication", status=401, body={"message": "Invalid login"})
    with pytest.raises(NotAuthenticatedError) as caught:
        api.call(find_projects())
    assert str(caught.value) == "POST /authentication returned 401: Invalid login"
    assert sent(metakraftwerk) == [LOGIN, PROJECTS, REFUSED, (*LOGIN[:2], 401)]


def test_bad_password_is_sent_once(metakraftwerk, connect):
    api = connect(password="wr0ng-secret")
    with pytest.raises(NotAuthenticatedError) as caught:
        api.call(find_projects())
    assert str(caught.value) == "POST /authentication returned 401: Invalid login"
    assert sent(metakraftwerk) == [(*LOGIN[:2], 401)]
    assert api.log.lines == []


def test_given_token_needs_no_login(metakraftwerk, connect):
    connect().call(find_projects())
    (row,) = metakraftwerk.tokens()
    metakraftwerk.clear_requests()
    api = connect(login=None, password=None, extra={"token": row["token"]})
    assert len(api.call(find_projects())) == 4
    assert sent(metakraftwerk) == [PROJECTS]


def test_given_token_is_not_renewed(metakraftwerk, connect):
    api = connect(extra={"token": "outlived"})
    with pytest.raises(NotAuthenticatedError) as caught:
        api.call(find_projects())
    assert caught.value.message == "Not authenticated"
    assert sent(metakraftwerk) == [REFUSED]


def test_login_is_retried_after_a_lost_response(metakraftwerk, api):
    metakraftwerk.fault("close", path="/authentication", work=True)
    assert len(api.call(find_projects())) == 4
    assert sent(metakraftwerk) == [(*LOGIN[:2], None), LOGIN, PROJECTS]
    assert api.clock.pauses == [0.5]


@pytest.mark.parametrize(("age", "logins"), [(0, 1), (1000, 1), (1081, 2), (5000, 2)])
def test_token_is_renewed_before_it_expires(metakraftwerk, api, age, logins):
    """A token of 1,200 s is used for 1,080; it is valid on the server all the time, so no 401 is seen."""
    metakraftwerk.set(token_seconds=1200)
    api.call(find_projects())
    api.clock.advance(age)
    api.call(find_projects())
    assert [entry for entry in sent(metakraftwerk) if entry == LOGIN] == [LOGIN] * logins
    assert REFUSED not in sent(metakraftwerk)


def test_opaque_token_is_used_until_refused(metakraftwerk, api):
    body = {"accessToken": "opaque", "user": {"id": 7}}
    metakraftwerk.fault("status", path="/authentication", status=201, body=body)
    metakraftwerk.fault("status", path="/api/v1/projects", status=200, body=[], times=2)
    api.call(find_projects())
    api.clock.advance(10 * 365 * 86_400)
    api.call(find_projects())
    assert sent(metakraftwerk) == [LOGIN, PROJECTS, PROJECTS]
    token = api.run(api.session.token())
    assert (token.value, token.lifetime, token.user_id) == ("opaque", None, 7)


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"accessToken": None, "user": "s3cret"},
        {"accessToken": ""},
        {"accessToken": 5, "note": "s3cret"},
        {"accessToken": "s3cret\r\nX: y"},
        {"accessToken": "s3cret ä"},
    ],
)
def test_login_without_a_valid_token_is_an_error(metakraftwerk, api, body):
    metakraftwerk.fault("status", path="/authentication", status=201, body=body, times=None)
    with pytest.raises(ProtocolError, match=r"the response to the login \(201, .*\) has no accessToken") as caught:
        api.call(find_projects())
    assert "s3cret" not in str(caught.value) + "".join(api.log.lines)
    assert metakraftwerk.requests(path="/api/*") == []


def jwt(claims):
    part = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"e30.{part}.x"


@pytest.mark.parametrize(
    ("value", "lifetime", "good_for", "user_id"),
    [
        (jwt({"iat": 1000, "exp": 73000, "sub": "12"}), 72000, 71880, 12),
        (jwt({"iat": 1000, "exp": 1100}), 100, 90, None),
        (jwt({"iat": 1000, "exp": 1000}), 0, None, None),
        (jwt({"iat": 1000, "exp": 900}), -100, None, None),
        (jwt({"exp": 900}), None, None, None),
        (jwt({"iat": "a", "exp": "b", "sub": "me"}), None, None, None),
        (jwt({"iat": 1, "exp": float("inf")}), None, None, None),
        (jwt({"iat": 1, "exp": float("nan")}), None, None, None),
        (jwt({"iat": False, "exp": True, "sub": 3}), None, None, 3),
        pytest.param(jwt({"iat": 1, "exp": 10**400, "sub": "9" * 5000}), None, None, None, id="large numbers"),
        (jwt([]), None, None, None),
        ("e30.!!!.x", None, None, None),
        ("e30.ä.x", None, None, None),
        ("opaque", None, None, None),
    ],
)
def test_claims_of_a_token(value, lifetime, good_for, user_id):
    token = Token.of(value)
    assert (token.value, token.lifetime, token.good_for, token.user_id) == (value, lifetime, good_for, user_id)
    assert value not in repr(token)


def test_token_cache_is_per_server_and_user():
    def settings(host, user):
        return Settings.from_fields(name="x", host=host, login=user, password="p")

    a = token_cache_for(settings("a.example.com", "me"))
    assert a is token_cache_for(settings("https://A.example.com/", "me"))
    assert a is not token_cache_for(settings("a.example.com", "you"))
    assert a is not token_cache_for(settings("b.example.com", "me"))


def test_token_cache_shows_no_token():
    token_cache = TokenCache()
    token_cache.store(Token.of("s3cret"), 0.0)
    assert "s3cret" not in repr(token_cache)


def test_login_request_shows_no_password(connect):
    settings = connect(password="s3cret").settings
    assert "s3cret" not in repr(login(settings)) + str(login(settings)) + repr(settings)
    assert str(find_builds()) == "GET /api/v1/builds"
