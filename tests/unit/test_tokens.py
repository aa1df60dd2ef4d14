"""Logins: when, how often, and for how long a token is valid."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import pytest

from mkw_airflow_provider.client.api.authentication import Token
from mkw_airflow_provider.client.api.builds import create_build, get_build
from mkw_airflow_provider.client.flows import ApiSession, Exclusive, Sleep
from mkw_airflow_provider.client.token_cache import TokenCache, cache_key, token_cache_for
from mkw_airflow_provider.exceptions import (
    ApiError,
    ConnectionFailedError,
    NotAuthenticatedError,
    ProtocolError,
    ServerError,
)
from tests.kit.simulation import FIRST_TOKEN, NIGHT, World, build, http_error, lost, ok

READ = get_build(5139)
START = create_build(project="DEMO_PROJECT", instances=[{"id": 1001}])


def jwt(**claims: object) -> str:
    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'alg': 'HS256', 'typ': 'access'})}.{part(claims)}.c2lnbmF0dXJl"


def logged_in(token: str = "new-token", user_id: int | None = 7) -> object:
    return ok({"accessToken": token, "user": {"id": user_id, "email": "me@example.com"}}, 201)


def logged_out(**settings: object) -> World:
    """Return a world without a token."""
    world = World(**settings)
    world.session.token_cache = TokenCache()
    return world


def tokens_sent(world: World) -> list[str | None]:
    return [sent.call.token for sent in world.sent]


def test_first_request_logs_in():
    world = logged_out()
    world.script(logged_in(), ok(build()))
    world.run(world.session.request(READ))
    login, read = (sent.call for sent in world.sent)
    assert (login.method, login.path, login.token) == ("POST", "/authentication", None)
    assert login.body == {"strategy": "local", "email": "me@example.com", "password": "only-i-know"}
    assert read.token == "new-token"


def test_new_token_is_masked():
    world = logged_out()
    world.script(logged_in(), ok(build()))
    world.run(world.session.request(READ))
    assert world.secrets == ["new-token"]


def test_later_requests_reuse_the_token():
    world = logged_out()
    world.script(logged_in(), forever=ok(build()))
    for _ in range(3):
        world.run(world.session.request(READ))
    assert tokens_sent(world) == [None, "new-token", "new-token", "new-token"]


@pytest.mark.parametrize("message", ["Not authenticated", "jwt expired", ""])
@pytest.mark.parametrize(("call", "response"), [(READ, ok(build())), (START, ok({"build": build()}, 201))])
def test_request_is_resent_once_after_401(world, call, response, message):
    world.script(http_error(401, message), logged_in(), response)
    world.run(world.session.request(call))
    assert tokens_sent(world) == [FIRST_TOKEN, None, "new-token"]
    assert world.pauses == []


def test_second_401_is_final(world):
    world.script(http_error(401, "jwt expired"), logged_in(), http_error(401, "Not authenticated"))
    with pytest.raises(NotAuthenticatedError, match="GET /api/v1/builds/5139 returned 401: Not authenticated"):
        world.run(world.session.request(READ))
    assert len(world.sent) == 3


def test_outages_are_tolerated_after_401(world):
    world.script(http_error(503), http_error(401), http_error(503), logged_in(), http_error(503), ok(build()))
    world.run(world.session.request(READ))
    assert tokens_sent(world) == [FIRST_TOKEN, FIRST_TOKEN, None, None, "new-token", "new-token"]


def test_wrong_password_sends_one_login():
    world = logged_out()
    world.script(http_error(401, "Invalid login"))
    with pytest.raises(NotAuthenticatedError, match="POST /authentication returned 401: Invalid login"):
        world.run(world.session.request(READ))
    assert len(world.sent) == 1


def test_login_is_retried_after_a_lost_response():
    world = logged_out()
    world.script(lost(), http_error(502), logged_in(), ok(build()))
    world.run(world.session.request(READ))
    assert tokens_sent(world) == [None, None, None, "new-token"]


@pytest.mark.parametrize("response", [{}, [], {"accessToken": ""}, {"accessToken": 5}, {"token": "secret-in-the-body"}])
def test_login_without_token_is_an_error(response):
    """The error does not show the body."""
    world = logged_out(outage_tolerance=0.0)
    world.script(ok(response, 201))
    with pytest.raises(ProtocolError, match="has no accessToken") as caught:
        world.run(world.session.request(READ))
    assert "secret-in-the-body" not in str(caught.value)


def test_given_token_needs_no_login():
    world = logged_out(token="ready")
    world.script(ok(build()))
    world.run(world.session.request(READ))
    assert tokens_sent(world) == ["ready"]


def test_token_is_renewed_before_it_expires():
    world = logged_out()
    hour = jwt(iat=NIGHT, exp=NIGHT + 3_600)
    world.script(logged_in(hour), ok(build()), ok(build()), logged_in("second"), ok(build()))
    for moment in (0.0, 3_470.0, 3_481.0):
        world.clock.advance(moment - world.now)
        world.run(world.session.request(READ))
    assert tokens_sent(world) == [None, hour, hour, None, "second"]


@pytest.mark.parametrize("skew", [-86_400.0, 86_400.0, 0.0])
def test_server_clock_does_not_matter(skew):
    world = logged_out()
    token = jwt(iat=NIGHT + skew, exp=NIGHT + skew + 3_600)
    world.script(logged_in(token), forever=ok(build()))
    for _ in range(3):
        world.run(world.session.request(READ))
        world.clock.jump(7_200.0)
    assert tokens_sent(world) == [None, token, token, token]


@pytest.mark.parametrize(
    ("claims", "lifetime"),
    [
        ({"iat": 100, "exp": 100 + 72_000}, 71_880.0),
        ({"iat": 100, "exp": 700}, 540.0),
        ({"iat": 100, "exp": 110}, 9.0),
        ({"iat": 100, "exp": 100}, None),
        ({"iat": 100, "exp": 50}, None),
        ({"exp": 5_000}, None),
        ({"iat": "noon", "exp": "midnight"}, None),
        ({}, None),
    ],
)
def test_token_lifetime_comes_from_its_claims(claims, lifetime):
    token = Token.of(jwt(**claims))
    assert (None if token.good_for is None else pytest.approx(token.good_for)) == lifetime


@pytest.mark.parametrize("value", ["no-jwt", "a.b.c", "a.!!!.c", "a.e30.c", "a.WzFd.c", ".."])
def test_opaque_token_is_used_until_refused(value):
    token_cache = TokenCache()
    token = token_cache.store(Token.of(value), now=0.0)
    assert (token.value, token.lifetime, token.user_id) == (value, None, None)
    assert token_cache.current(now=1e9) is token


@pytest.mark.parametrize(
    ("given", "claims", "user_id"),
    [(7, {}, 7), (None, {"sub": "8"}, 8), (7, {"sub": "8"}, 7), (None, {"sub": "x"}, None)],
)
def test_user_id_of_a_token(given, claims, user_id):
    assert Token.of(jwt(**claims), given).user_id == user_id


def test_token_is_not_in_any_repr():
    assert "secret" not in repr(Token.of("secret"))
    assert "secret" not in repr(TokenCache(Token.of("secret")))


def test_waiting_callers_share_a_login():
    world = logged_out()
    world.script(logged_in(), forever=ok(build()))
    first, second = world.session.request(READ), world.session.request(READ)
    turns = [next(first), next(second)]
    assert all(isinstance(turn, Exclusive) for turn in turns)
    assert turns[0].key == turns[1].key == cache_key(world.settings)
    calls = [first.send(world.do(turns[0])), second.send(world.do(turns[1]))]
    assert [call.token for call in calls] == ["new-token", "new-token"]
    assert len(world.sent) == 1


def test_callers_refused_together_share_a_login(world):
    world.script(logged_in(), forever=ok(build()))
    flows = [world.session.request(READ) for _ in range(3)]
    calls = [next(flow) for flow in flows]
    turns = [flow.send(http_error(401)) for flow in flows]
    calls = [flow.send(world.do(turn)) for flow, turn in zip(flows, turns, strict=True)]
    assert [call.token for call in calls] == ["new-token"] * 3
    assert len(world.sent) == 1


def test_waiting_callers_share_a_failed_login():
    world = logged_out()
    world.script(http_error(401, "Invalid login"))
    first, second = world.session.request(READ), world.session.request(READ)
    turns = [next(first), next(second)]
    for turn in turns:
        with pytest.raises(NotAuthenticatedError, match="Invalid login"):
            world.do(turn)
    assert len(world.sent) == 1


def test_later_caller_retries_a_failed_login():
    world = logged_out(outage_tolerance=0.0)
    world.script(lost(), logged_in(), ok(build()))
    with pytest.raises(ConnectionFailedError):
        world.run(world.session.request(READ))
    assert world.run(world.session.request(READ)).id == 5139


def test_cache_is_per_server_user_and_password():
    """Another connection with the same e-mail and a wrong password must not read with this one's token."""
    first, same = World().settings, World(project="other").settings
    assert token_cache_for(first) is token_cache_for(same)
    for other in ({"password": "changed"}, {"login": "you@example.com"}, {"token": "ready"}, {"token": "other"}):
        assert token_cache_for(World(**other).settings) is not token_cache_for(first)
    assert "only-i-know" not in repr(cache_key(first)) + repr(token_cache_for(first))


def attempts_of(world):
    return [sent.call for sent in world.sent if sent.call.path == "/authentication"]


def test_outage_counts_for_each_waiting_caller():
    """One caller has no tolerance left; the other continues, and neither sends a login for each other's failure."""
    world = logged_out()
    world.script(http_error(503), logged_in(), forever=ok(build()))
    hasty = ApiSession(
        replace(world.settings, outage_tolerance=0.0),
        world.session.token_cache,
        monotonic=world.session.monotonic,
        wall=world.session.wall,
        random=world.session.random,
    )
    first, second = hasty.request(READ), world.session.request(READ)
    turns = [next(first), next(second)]
    outcomes = [world.do(turn) for turn in turns]
    assert len(world.sent) == 1
    with pytest.raises(ServerError, match="503"):
        first.send(outcomes[0])
    pause = second.send(outcomes[1])
    assert isinstance(pause, Sleep)
    world.clock.advance(pause.seconds)
    assert world.do(second.send(None)).value == "new-token"


def test_wait_for_a_login_ends_at_the_deadline():
    world = logged_out()
    flow = world.session.request(READ, until=world.clock.wall() + 2)
    turn = next(flow)
    assert turn.timeout == 2
    world.clock.advance(2)
    with pytest.raises(ConnectionFailedError, match="another task's login is still waiting"):
        flow.throw(TimeoutError())
    assert world.sent == []


@pytest.mark.parametrize("status", [400, 401, 403])
def test_refused_login_is_not_resent_for_a_minute(status):
    world = logged_out()
    world.script(http_error(status, "Invalid login"), logged_in(), forever=ok(build()))
    for _ in range(1_000):
        with pytest.raises(ApiError, match="Invalid login"):
            world.run(world.session.request(READ))
        world.clock.advance(0.059)
    assert len(attempts_of(world)) == 1
    world.clock.advance(1.1)
    assert world.run(world.session.request(READ)).id == 5139


def test_refused_given_token_is_not_resent():
    world = logged_out(token="ready")
    world.script(http_error(401), forever=ok(build()))
    for _ in range(10):
        with pytest.raises(NotAuthenticatedError):
            world.run(world.session.request(READ))
    assert tokens_sent(world) == ["ready"]


def test_refused_login_token_is_not_resent(world):
    world.script(http_error(401), logged_in("second"), http_error(401), logged_in("third"), ok(build()))
    with pytest.raises(NotAuthenticatedError):
        world.run(world.session.request(READ))
    world.run(world.session.request(READ))
    assert tokens_sent(world) == [FIRST_TOKEN, None, "second", None, "third"]


@pytest.mark.parametrize("new", [{"password": "rotated"}, {"token": "rotated", "password": None}])
def test_rotated_credentials_are_reloaded(world, new):
    settings = replace(world.settings, **new)
    world.session.reload_settings = lambda: settings
    responses = [http_error(401), http_error(401, "Invalid login")] + ([] if "token" in new else [logged_in("rotated")])
    world.script(*responses, forever=ok(build()))
    for _ in range(2):
        assert world.run(world.session.request(READ)).id == 5139
    assert tokens_sent(world)[-2:] == ["rotated", "rotated"]
    assert "rotated" in world.secrets
    assert len(attempts_of(world)) == (1 if "token" in new else 2)


def test_rotated_token_is_reloaded():
    world = logged_out(token="old", login=None, password=None)
    world.session.reload_settings = lambda: replace(world.settings, token="new")
    world.script(http_error(401), ok(build()))
    assert world.run(world.session.request(READ)).id == 5139
    assert tokens_sent(world) == ["old", "new"]


@pytest.mark.parametrize(
    "reload",
    [
        lambda settings: settings,
        lambda settings: replace(settings, base_url="https://other.example.com", password="rotated"),
        lambda settings: 1 / 0,
    ],
    ids=["unchanged", "another server", "backend down"],
)
def test_refusal_without_new_credentials_is_final(world, reload):
    world.session.reload_settings = lambda: reload(world.settings)
    world.script(http_error(401), http_error(401, "Invalid login"))
    with pytest.raises(NotAuthenticatedError, match="Invalid login"):
        world.run(world.session.request(READ))
    assert len(world.sent) == 2


def test_error_says_that_the_login_is_an_email():
    world = logged_out(login="me")
    world.script(http_error(401, "Invalid login"))
    with pytest.raises(NotAuthenticatedError, match="must be the e-mail address"):
        world.run(world.session.request(READ))
