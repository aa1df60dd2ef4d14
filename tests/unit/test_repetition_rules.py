"""Which responses lead to a retry: for requests that may be repeated, and for those that must not be."""

from __future__ import annotations

import pytest

from mkw_airflow_provider.client.api.builds import create_build, get_build
from mkw_airflow_provider.client.request import MAX_ERROR_BODY, Response
from mkw_airflow_provider.client.session import OutcomeUnknownError
from mkw_airflow_provider.exceptions import (
    ApiError,
    BadRequestError,
    ConfigurationError,
    ConnectionFailedError,
    ForbiddenError,
    NotAuthenticatedError,
    NotFoundError,
    ProtocolError,
    RateLimitedError,
    ServerError,
    is_final,
)
from tests.kit.simulation import World, build, html, http_error, lost, ok, redirect, unreachable

READ = get_build(5139)
START = create_build(project="DEMO_PROJECT", instances=[{"id": 1001}])
CREATED = ok({"build": build(), "warnings": []}, 201)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 520])
def test_read_is_retried_after_a_temporary_status(world, status):
    world.script(http_error(status), ok(build()))
    assert world.run(world.session.request(READ)).id == 5139
    assert len(world.sent) == 2


@pytest.mark.parametrize(
    "failure",
    [unreachable(), lost(), html(), ok([]), ok({"id": 5139}), ok(build(4711)), ok("BUILDING")],
    ids=["refused", "reset", "html", "array", "no status", "another build", "text"],
)
def test_read_is_retried_after_an_invalid_response(world, failure):
    world.script(failure, ok(build()))
    assert world.run(world.session.request(READ)).id == 5139
    assert len(world.sent) == 2


@pytest.mark.parametrize("status", [200, 201, 202, 206])
def test_any_2xx_is_success(world, status):
    world.script(ok(build(), status))
    assert world.run(world.session.request(READ)).id == 5139


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, BadRequestError),
        (403, ForbiddenError),
        (404, NotFoundError),
        (405, ApiError),
        (409, ApiError),
        (418, ApiError),
        (501, ServerError),
        (505, ServerError),
    ],
)
@pytest.mark.parametrize("call", [READ, START], ids=["read", "start"])
def test_other_errors_are_final_with_the_message(world, call, status, kind):
    world.script(http_error(status, "A project with the name 'X' does not exist!"))
    with pytest.raises(ApiError) as caught:
        world.run(world.session.request(call))
    assert type(caught.value) is kind
    assert (caught.value.status, caught.value.message) == (status, "A project with the name 'X' does not exist!")
    assert world.pauses == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("call", [READ, START], ids=["read", "start"])
def test_only_redirects_of_files_are_followed(world, call, status):
    world.script(redirect("https://elsewhere.example.com/", status))
    with pytest.raises(ApiError) as caught:
        world.run(world.session.request(call))
    assert caught.value.status == status


@pytest.mark.parametrize(
    "response",
    [
        unreachable("name or service not known"),
        http_error(429),
        http_error(429, retry_after="1"),
        http_error(425),
        http_error(503, retry_after="1"),
    ],
    ids=["never arrived", "429", "429 with Retry-After", "425", "503 with Retry-After"],
)
def test_post_that_did_nothing_is_resent(world, response):
    world.script(response, CREATED)
    assert world.run(world.session.request(START)).build.id == 5139
    assert world.requested == ["POST /builds"] * 2


@pytest.mark.parametrize(
    "response",
    [
        lost("read timed out"),
        html(201),
        ok({"warnings": []}, 201),
        ok([], 201),
        *map(http_error, (408, 500, 502, 503, 504, 520)),
    ],
    ids=["reset", "html", "no build", "array", "408", "500", "502", "503", "504", "520"],
)
def test_post_with_unknown_outcome_is_not_resent(world, response):
    world.script(response)
    with pytest.raises(OutcomeUnknownError):
        world.run(world.session.request(START))
    assert (world.requested, world.pauses) == (["POST /builds"], [])


@pytest.mark.parametrize(
    ("response", "kind"), [(unreachable(), ConnectionFailedError), (http_error(429), RateLimitedError)]
)
def test_post_is_retried_for_outage_tolerance(response, kind):
    world = World(outage_tolerance=30.0)
    world.script(forever=response)
    with pytest.raises(kind):
        world.run(world.session.request(START))
    assert world.now == 30.0


def test_lost_post_after_a_429_is_not_resent(world):
    world.script(http_error(429), lost())
    with pytest.raises(OutcomeUnknownError):
        world.run(world.session.request(START))
    assert len(world.sent) == 2


TOO_LARGE = ProtocolError("the response to GET /api/v1/builds/5139 is larger than 1048576 bytes")


def test_response_above_its_limit_is_final(world):
    world.script(TOO_LARGE)
    with pytest.raises(ProtocolError, match="larger than 1048576 bytes"):
        world.run(world.session.request(READ))
    assert world.pauses == []


def test_post_with_a_huge_response_is_not_resent(world):
    world.script(TOO_LARGE)
    with pytest.raises(OutcomeUnknownError, match="larger than"):
        world.run(world.session.request(START))


@pytest.mark.parametrize("page", [html(404), Response(404, {}), ok([], 404), ok("gone", 404)])
def test_read_survives_the_404_of_a_gateway(world, page):
    world.script(page, page, ok(build()))
    assert world.run(world.session.request(READ)).id == 5139


def test_404_of_a_gateway_ends_with_the_tolerance():
    world = World(outage_tolerance=3.0)
    world.script(forever=html(404))
    with pytest.raises(NotFoundError, match=r"Back soon.*3 attempts in 3 s"):
        world.run(world.session.request(READ))


def test_long_404_of_the_api_is_final(world):
    """Only the beginning of an error body is read, which is not complete JSON."""
    world.script(Response(404, {}, b'{"message": "' + b"x" * MAX_ERROR_BODY))
    with pytest.raises(NotFoundError):
        world.run(world.session.request(get_build(1)))
    assert len(world.sent) == 1


def test_post_with_the_404_of_a_gateway_is_final(world):
    world.script(html(404))
    with pytest.raises(NotFoundError):
        world.run(world.session.request(START))


@pytest.mark.parametrize(
    ("error", "final"),
    [
        (ConfigurationError("x"), True),
        (NotFoundError(404, "x"), True),
        (NotAuthenticatedError(401, "x"), True),
        (ServerError(501, "x"), True),
        (ServerError(503, "x"), False),
        (RateLimitedError(429, "x"), False),
        (ConnectionFailedError("x"), False),
        (ProtocolError("x"), False),
    ],
)
def test_final_errors_need_a_person(error, final):
    assert is_final(error) == final
