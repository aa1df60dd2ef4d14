"""Logging in: when, how often, and for how long a token is good."""

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


def stranger(**settings: object) -> World:
    """A world in which nobody has logged in yet."""
    world = World(**settings)
    world.session.token_cache = TokenCache()
    return world


def tokens_sent(world: World) -> list[str | None]:
    return [sent.call.token for sent in world.sent]


def test_the_first_request_logs_in_before():
    world = stranger()
    world.script(logged_in(), ok(build()))
    world.run(world.session.request(READ))
    login, read = (sent.call for sent in world.sent)
    assert (login.method, login.path, login.token) == ("POST", "/authentication", None)
    assert login.body == {"strategy": "local", "email": "me@example.com", "password": "only-i-know"}
    assert read.token == "new-token"


def test_a_new_token_is_kept_out_of_every_log():
    world = stranger()
    world.script(logged_in(), ok(build()))
    world.run(world.session.request(READ))
    assert world.secrets == ["new-token"]


def test_later_requests_use_the_same_token():
    world = stranger()
    world.script(logged_in(), forever=ok(build()))
    for _ in range(3):
        world.run(world.session.request(READ))
    assert tokens_sent(world) == [None, "new-token", "new-token", "new-token"]


@pytest.mark.parametrize("message", ["Not authenticated", "jwt expired", ""])
@pytest.mark.parametrize(("call", "answer"), [(READ, ok(build())), (START, ok({"build": build()}, 201))])
def test_after_401_it_logs_in_once_and_sends_once_more_whatever_the_message(world, call, answer, message):
    world.script(http_error(401, message), logged_in(), answer)
    world.run(world.session.request(call))
    assert tokens_sent(world) == [FIRST_TOKEN, None, "new-token"]
    assert world.pauses == []


def test_a_second_401_ends_it(world):
    world.script(http_error(401, "jwt expired"), logged_in(), http_error(401, "Not authenticated"))
    with pytest.raises(NotAuthenticatedError, match="GET /api/v1/builds/5139 returned 401: Not authenticated"):
        world.run(world.session.request(READ))
    assert len(world.sent) == 3


def test_after_401_a_call_is_repeated_through_an_outage_as_before(world):
    world.script(http_error(503), http_error(401), http_error(503), logged_in(), http_error(503), ok(build()))
    world.run(world.session.request(READ))
    assert tokens_sent(world) == [FIRST_TOKEN, FIRST_TOKEN, None, None, "new-token", "new-token"]


def test_a_wrong_password_is_one_login_and_the_words_of_the_server():
    world = stranger()
    world.script(http_error(401, "Invalid login"))
    with pytest.raises(NotAuthenticatedError, match="POST /authentication returned 401: Invalid login"):
        world.run(world.session.request(READ))
    assert len(world.sent) == 1


def test_a_lost_answer_to_the_login_is_met_by_another_login():
    world = stranger()
    world.script(lost(), http_error(502), logged_in(), ok(build()))
    world.run(world.session.request(READ))
    assert tokens_sent(world) == [None, None, None, "new-token"]


@pytest.mark.parametrize("answer", [{}, [], {"accessToken": ""}, {"accessToken": 5}, {"token": "secret-in-the-body"}])
def test_an_answer_without_a_token_is_an_error_that_does_not_show_it(answer):
    world = stranger(outage_tolerance=0.0)
    world.script(ok(answer, 201))
    with pytest.raises(ProtocolError, match="has no accessToken") as caught:
        world.run(world.session.request(READ))
    assert "secret-in-the-body" not in str(caught.value)


def test_a_ready_token_is_used_without_any_login():
    world = stranger(token="ready")
    world.script(ok(build()))
    world.run(world.session.request(READ))
    assert tokens_sent(world) == ["ready"]


def test_a_token_is_renewed_ahead_of_its_end():
    world = stranger()
    hour = jwt(iat=NIGHT, exp=NIGHT + 3_600)
    world.script(logged_in(hour), ok(build()), ok(build()), logged_in("second"), ok(build()))
    for moment in (0.0, 3_470.0, 3_481.0):
        world.clock.advance(moment - world.now)
        world.run(world.session.request(READ))
    assert tokens_sent(world) == [None, hour, hour, None, "second"]


@pytest.mark.parametrize("skew", [-86_400.0, 86_400.0, 0.0])
def test_the_clock_of_the_server_does_not_matter(skew):
    world = stranger()
    token = jwt(iat=NIGHT + skew, exp=NIGHT + skew + 3_600)
    world.script(logged_in(token), forever=ok(build()))
    for _ in range(3):
        world.run(world.session.request(READ))
        world.clock.jump(7_200.0)
    assert tokens_sent(world) == [None, token, token, token]


@pytest.mark.parametrize(
    ("claims", "good_for"),
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
def test_how_long_a_token_is_used_without_a_thought(claims, good_for):
    token = Token.of(jwt(**claims))
    assert (None if token.good_for is None else pytest.approx(token.good_for)) == good_for


@pytest.mark.parametrize("value", ["no-jwt", "a.b.c", "a.!!!.c", "a.e30.c", "a.WzFd.c", ".."])
def test_a_token_that_tells_nothing_is_used_until_it_is_refused(value):
    token_cache = TokenCache()
    token = token_cache.store(Token.of(value), now=0.0)
    assert (token.value, token.lifetime, token.user_id) == (value, None, None)
    assert token_cache.current(now=1e9) is token


@pytest.mark.parametrize(
    ("given", "claims", "user_id"),
    [(7, {}, 7), (None, {"sub": "8"}, 8), (7, {"sub": "8"}, 7), (None, {"sub": "x"}, None)],
)
def test_whose_a_token_is(given, claims, user_id):
    assert Token.of(jwt(**claims), given).user_id == user_id


def test_a_token_never_shows_itself():
    assert "secret" not in repr(Token.of("secret"))
    assert "secret" not in repr(TokenCache(Token.of("secret")))


def test_those_who_wait_for_a_login_share_it():
    world = stranger()
    world.script(logged_in(), forever=ok(build()))
    first, second = world.session.request(READ), world.session.request(READ)
    turns = [next(first), next(second)]
    assert all(isinstance(turn, Exclusive) for turn in turns)
    assert turns[0].key == turns[1].key == cache_key(world.settings)
    calls = [first.send(world.do(turns[0])), second.send(world.do(turns[1]))]
    assert [call.token for call in calls] == ["new-token", "new-token"]
    assert len(world.sent) == 1


def test_those_whose_token_was_refused_at_once_share_the_new_login(world):
    world.script(logged_in(), forever=ok(build()))
    flows = [world.session.request(READ) for _ in range(3)]
    calls = [next(flow) for flow in flows]
    turns = [flow.send(http_error(401)) for flow in flows]
    calls = [flow.send(world.do(turn)) for flow, turn in zip(flows, turns, strict=True)]
    assert [call.token for call in calls] == ["new-token"] * 3
    assert len(world.sent) == 1


def test_those_who_wait_for_a_login_share_its_failure():
    world = stranger()
    world.script(http_error(401, "Invalid login"))
    first, second = world.session.request(READ), world.session.request(READ)
    turns = [next(first), next(second)]
    for turn in turns:
        with pytest.raises(NotAuthenticatedError, match="Invalid login"):
            world.do(turn)
    assert len(world.sent) == 1


def test_whoever_comes_after_a_failed_login_tries_again():
    world = stranger(outage_tolerance=0.0)
    world.script(lost(), logged_in(), ok(build()))
    with pytest.raises(ConnectionFailedError):
        world.run(world.session.request(READ))
    assert world.run(world.session.request(READ)).id == 5139


def test_cache_is_shared_by_server_user_and_password():
    """Another connection with the same e-mail and a wrong password must not read with this one's token."""
    first, same = World().settings, World(project="other").settings
    assert token_cache_for(first) is token_cache_for(same)
    for other in ({"password": "changed"}, {"login": "you@example.com"}, {"token": "ready"}, {"token": "other"}):
        assert token_cache_for(World(**other).settings) is not token_cache_for(first)
    assert "only-i-know" not in repr(cache_key(first)) + repr(token_cache_for(first))


def attempts_of(world):
    return [sent.call for sent in world.sent if sent.call.path == "/authentication"]


def test_temporary_failure_counts_for_each_waiting_caller():
    """One caller has no tolerance left; the other continues, and neither sends a login for each other's failure."""
    world = stranger()
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


def test_wait_for_another_login_ends_with_the_own_deadline():
    world = stranger()
    flow = world.session.request(READ, until=world.clock.wall() + 2)
    turn = next(flow)
    assert turn.timeout == 2
    world.clock.advance(2)
    with pytest.raises(ConnectionFailedError, match="another task's login is still waiting"):
        flow.throw(TimeoutError())
    assert world.sent == []


@pytest.mark.parametrize("status", [400, 401, 403])
def test_refused_login_is_not_sent_again_for_a_minute(status):
    world = stranger()
    world.script(http_error(status, "Invalid login"), logged_in(), forever=ok(build()))
    for _ in range(1_000):
        with pytest.raises(ApiError, match="Invalid login"):
            world.run(world.session.request(READ))
        world.clock.advance(0.059)
    assert len(attempts_of(world)) == 1
    world.clock.advance(1.1)
    assert world.run(world.session.request(READ)).id == 5139


def test_refused_token_is_not_sent_again_for_a_minute():
    world = stranger(token="ready")
    world.script(http_error(401), forever=ok(build()))
    for _ in range(10):
        with pytest.raises(NotAuthenticatedError):
            world.run(world.session.request(READ))
    assert tokens_sent(world) == ["ready"]


def test_refused_token_of_a_login_is_not_sent_again(world):
    world.script(http_error(401), logged_in("second"), http_error(401), logged_in("third"), ok(build()))
    with pytest.raises(NotAuthenticatedError):
        world.run(world.session.request(READ))
    world.run(world.session.request(READ))
    assert tokens_sent(world) == [FIRST_TOKEN, None, "second", None, "third"]


@pytest.mark.parametrize("new", [{"password": "rotated"}, {"token": "rotated", "password": None}])
def test_rotated_credentials_are_read_from_the_connection(world, new):
    settings = replace(world.settings, **new)
    world.session.reload_settings = lambda: settings
    answers = [http_error(401), http_error(401, "Invalid login")] + ([] if "token" in new else [logged_in("rotated")])
    world.script(*answers, forever=ok(build()))
    for _ in range(2):
        assert world.run(world.session.request(READ)).id == 5139
    assert tokens_sent(world)[-2:] == ["rotated", "rotated"]
    assert "rotated" in world.secrets
    assert len(attempts_of(world)) == (1 if "token" in new else 2)


def test_rotated_token_replaces_a_token_of_the_connection():
    world = stranger(token="old", login=None, password=None)
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
def test_without_new_credentials_a_refusal_is_final(world, reload):
    world.session.reload_settings = lambda: reload(world.settings)
    world.script(http_error(401), http_error(401, "Invalid login"))
    with pytest.raises(NotAuthenticatedError, match="Invalid login"):
        world.run(world.session.request(READ))
    assert len(world.sent) == 2


def test_refused_user_name_is_told_to_be_an_email():
    world = stranger(login="me")
    world.script(http_error(401, "Invalid login"))
    with pytest.raises(NotAuthenticatedError, match="must be the e-mail address"):
        world.run(world.session.request(READ))
