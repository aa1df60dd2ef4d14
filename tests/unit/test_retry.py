"""How long and how often a request is retried while the server is unreachable, and what is logged."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mkw_airflow_provider.client.api.builds import create_build, get_build
from mkw_airflow_provider.client.api.downloads import get_file
from mkw_airflow_provider.client.request import Response
from mkw_airflow_provider.exceptions import (
    ApiError,
    ConnectionFailedError,
    ProtocolError,
    RateLimitedError,
    ServerError,
)
from tests.kit.simulation import PROPERTY, World, body, build, html, http_error, lost, ok, unreachable

READ = get_build(5139)
CREATE = create_build(project_id=402, instances=[{"id": 1001}])


class Collected:
    """A sink that keeps what it receives."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    @property
    def received(self) -> int:
        return sum(map(len, self.pieces))

    def headers(self) -> dict[str, str]:
        return {}

    def begin(self, reply: Response) -> None:
        """Accept the pieces of every response."""

    def write(self, piece: bytes) -> None:
        self.pieces.append(piece)


def test_success_needs_one_request_and_no_pause(world):
    world.script(ok(build(status="FINISHED")))
    assert world.run(world.session.request(READ)).status == "FINISHED"
    assert (world.requested, world.pauses, world.logged()) == (["GET /builds/5139"], [], [])


def test_pauses_double_up_to_thirty_seconds(world):
    world.script(*[unreachable()] * 9, ok(build()))
    world.run(world.session.request(READ))
    assert world.pauses == [1, 2, 4, 8, 16, 30, 30, 30, 30]


def test_jitter_never_goes_below_half_a_second(world):
    world.chance = 0.0
    world.script(*[unreachable()] * 9, ok(build()))
    world.run(world.session.request(READ))
    assert world.pauses == [0.5] * 9


def test_pause_is_spread_over_its_full_range(world):
    world.chances.extend([0.5, 0.25, 0.75])
    world.script(*[unreachable()] * 3, ok(build()))
    world.run(world.session.request(READ))
    assert world.pauses == [0.75, 0.875, 3.125]


@PROPERTY
@given(st.lists(st.floats(0, 1), min_size=20, max_size=20), st.floats(0, 10))
def test_every_pause_is_between_0_5_and_30_s(chances, latency):
    world = World(outage_tolerance=10_000.0)
    world.chances.extend(chances)
    world.latency = latency
    world.script(*[unreachable()] * 20, ok(build()))
    world.run(world.session.request(READ))
    assert len(world.pauses) == 20
    assert all(0.5 <= pause <= 30 for pause in world.pauses)


def test_tolerance_starts_at_the_first_failure():
    world = World(outage_tolerance=90.0)
    world.latency = 7.0
    world.script(forever=unreachable())
    with pytest.raises(ConnectionFailedError):
        world.run(world.session.request(READ))
    first_failure = 7.0
    assert [sent.at for sent in world.sent][-2:] == [66.0, first_failure + 90.0]


def test_short_tolerance_allows_a_last_attempt():
    world = World(outage_tolerance=0.25)
    world.script(unreachable(), ok(build()))
    world.run(world.session.request(READ))
    assert world.pauses == [0.25]


def test_zero_tolerance_fails_at_the_first_failure():
    world = World(outage_tolerance=0.0)
    world.script(unreachable())
    with pytest.raises(ConnectionFailedError):
        world.run(world.session.request(READ))
    assert world.pauses == []


def test_success_resets_the_tolerance():
    world = World(outage_tolerance=100.0)
    for _ in range(5):
        began = world.now
        world.server = lambda call, since=began: unreachable() if world.now < since + 90 else ok(build())
        world.run(world.session.request(READ))
    assert world.now >= 450


def test_piece_of_a_file_resets_the_tolerance():
    world = World(outage_tolerance=100.0)
    sink = Collected()
    failures = [unreachable()] * 6
    world.script(*failures, body(b"one", breaks=lost()), *failures, body(b"two", breaks=lost()), *failures, body(b"3"))
    world.run(world.session.request(get_file(1, sink)))
    assert b"".join(sink.pieces) == b"onetwo3"
    assert world.pauses == [1, 2, 4, 8, 16, 30, *[1, 2, 4, 8, 16, 30, 30] * 2]


def test_response_without_data_resets_nothing():
    world = World(outage_tolerance=100.0)
    world.script(forever=body(breaks=lost()))
    with pytest.raises(ConnectionFailedError):
        world.run(world.session.request(get_file(1, Collected())))
    assert world.now == 100.0


def test_wall_clock_jumps_do_not_change_tolerance():
    world = World(outage_tolerance=100.0)

    def serve(call):
        world.clock.jump(-7_200.0 if len(world.sent) % 2 else 7_300.0)
        return unreachable()

    world.server = serve
    with pytest.raises(ConnectionFailedError):
        world.run(world.session.request(READ))
    assert world.now == 100.0


def test_until_ends_retries_before_the_tolerance(world):
    world.script(forever=unreachable())
    with pytest.raises(ConnectionFailedError):
        world.run(world.session.request(READ, until=world.clock.wall() + 20))
    assert world.now == pytest.approx(20.0)


@pytest.mark.parametrize(
    ("response", "kind", "words"),
    [
        (unreachable("connection refused"), ConnectionFailedError, "got no response: connection refused"),
        (lost("read timed out"), ConnectionFailedError, "got no response: read timed out"),
        (html(), ProtocolError, "is not the documented JSON: <html><body>Back soon</body></html>"),
        (http_error(503, "Wartung"), ServerError, "GET /api/v1/builds/5139 returned 503: Wartung"),
        (http_error(429, "Slow down"), RateLimitedError, "GET /api/v1/builds/5139 returned 429: Slow down"),
        (http_error(425, "Too early"), ApiError, "GET /api/v1/builds/5139 returned 425: Too early"),
    ],
)
def test_last_error_tells_attempts_and_duration(response, kind, words):
    world = World(outage_tolerance=7.0)
    world.script(forever=response)
    with pytest.raises(kind) as caught:
        world.run(world.session.request(READ))
    text = str(caught.value)
    assert words in text
    assert text.endswith("4 attempts in 7 s; the state on the server is unknown)")
    assert text.count("GET /api/v1/builds/5139") == 1
    assert text.count("at https://mkw.example.com") == 1
    assert type(caught.value) is kind


def test_host_is_named_if_no_response_arrived():
    world = World(outage_tolerance=0.0)
    world.script(unreachable())
    with pytest.raises(ConnectionFailedError, match=r"at https://mkw\.example\.com got no response"):
        world.run(world.session.request(READ))


@pytest.mark.parametrize(("status", "kind"), [(501, ServerError), (505, ServerError)])
def test_host_is_named_if_a_post_is_not_retried(world, status, kind):
    world.script(http_error(status, "Internal error"))
    with pytest.raises(kind) as caught:
        world.run(world.session.request(CREATE))
    assert str(caught.value) == (f"POST /api/v1/builds returned {status}: Internal error (at https://mkw.example.com)")


def test_host_is_named_once_after_a_redirect():
    """The path of the request is its complete address then."""
    world = World(outage_tolerance=0.0)
    world.script(forever=http_error(503))
    with pytest.raises(ServerError) as caught:
        world.run(
            world.session.request(replace(READ, path="https://files.example.com/x?signature=s", authenticated=False))
        )
    assert str(caught.value).startswith("GET https://files.example.com/x returned 503: Not today (1 attempt ")
    world.script(forever=unreachable())
    with pytest.raises(ConnectionFailedError, match=r"^GET https://files\.example\.com/x got no response: "):
        world.run(
            world.session.request(replace(READ, path="https://files.example.com/x?signature=s", authenticated=False))
        )


def test_later_failures_are_logged_less_often(world):
    world.script(*[unreachable("connection refused")] * 20, ok(build()))
    world.run(world.session.request(READ))
    warnings = world.logged("WARNING")
    assert warnings[0] == (
        "GET /api/v1/builds/5139 failed (connection refused); retrying in 1.0 s, giving up after 900 s."
    )
    assert len(warnings) == 5
    assert len(world.logged("DEBUG")) == 15


def test_no_secret_is_logged_or_in_an_error():
    world = World(outage_tolerance=60.0)
    world.script(forever=http_error(503))
    with pytest.raises(ServerError) as caught:
        world.run(world.session.request(READ))
    said = " ".join([*(text for _, text in world.lines), str(caught.value), repr(world.sent), repr(world.settings)])
    assert "first-token" not in said
    assert "only-i-know" not in said
