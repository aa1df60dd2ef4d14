"""No token of a login and no secret that a server repeats reaches an error or a log line."""

from __future__ import annotations

import base64
import json
import traceback
from urllib.parse import quote

import pytest

from mkw_airflow_provider.client.api.authentication import Token
from mkw_airflow_provider.client.api.builds import get_build
from mkw_airflow_provider.client.known_secrets import remember_secrets
from mkw_airflow_provider.client.request import Response, TransportError
from mkw_airflow_provider.client.token_cache import TokenCache
from mkw_airflow_provider.exceptions import ConnectionFailedError, MetaKraftwerkError, ProtocolError
from tests.kit.simulation import FIRST_TOKEN, World, ok

READ = get_build(5139)


def logged_out(**settings: object) -> World:
    """Return a world without a token."""
    world = World(**settings)
    world.session.token_cache = TokenCache()
    return world


TOKEN = "eyTOPSECRET.abc.def"
NOT_CLEAN = [
    f'{{"accessToken":"{TOKEN}","user":{{"id":1}}}}\n<!-- gateway -->',
    f'{{"accessToken":"{TOKEN}","user":{{"id"',
    f"access_token={TOKEN}&token_type=bearer",
    f'{{"access_token":"{TOKEN}"}}',
    f'["{TOKEN}"]',
    f'{{"message":{{"accessToken":"{TOKEN}"}}}}',
]


@pytest.mark.parametrize("text", NOT_CLEAN)
@pytest.mark.parametrize("status", [200, 201, 302, 401, 418, 500, 502])
def test_body_of_login_is_never_quoted(status, text):
    world = logged_out(outage_tolerance=2.0)
    world.script(forever=Response(status, {"content-type": f"text/html; t={TOKEN}"}, text.encode()))
    with pytest.raises(MetaKraftwerkError) as caught:
        world.run(world.session.request(READ))
    assert "TOPSECRET" not in everything_said(world, caught.value)
    assert f"{status}, text/html, {len(text)} bytes" in str(caught.value)


@pytest.mark.parametrize("sent", [True, False])
def test_transport_error_of_login_quotes_nothing(sent):
    world = logged_out(outage_tolerance=2.0)

    def fail(call):
        library = ValueError(f"bad chunk: {TOKEN}")
        error = TransportError(f"BadStatusLine: {TOKEN}" if sent else "refused", sent=sent)
        error.__cause__ = library
        return error

    world.server = fail
    with pytest.raises(ConnectionFailedError, match="BadStatusLine" if sent else "refused") as caught:
        world.run(world.session.request(READ))
    assert "TOPSECRET" not in everything_said(world, caught.value)


@pytest.mark.parametrize("form", [str, json.dumps, quote, lambda text: base64.b64encode(text.encode()).decode()])
@pytest.mark.parametrize("status", [400, 401, 404, 503])
@pytest.mark.parametrize("field", ["message", "error"])
def test_repeated_secrets_reach_no_error(form, status, field):
    world = World(outage_tolerance=2.0, password='only "I" know', token=None)
    basic = base64.b64encode(b'me@example.com:only "I" know').decode()
    password = 'only "I" know'
    said = {field: f"{form(password)} of {form(FIRST_TOKEN)}, Basic {basic}"}
    world.token_cache.store(Token.of(FIRST_TOKEN), world.clock.monotonic())
    remember_secrets(FIRST_TOKEN)
    world.script(forever=ok(said, status))
    with pytest.raises(MetaKraftwerkError) as caught:
        world.run(world.session.request(READ))
    said = everything_said(world, caught.value) + json.dumps(caught.value.to_dict())
    for secret in (form(password).strip('"'), form(FIRST_TOKEN).strip('"'), basic):
        assert secret not in said


def test_body_is_in_no_error_of_the_chain():
    world = World(outage_tolerance=0.0)
    world.script(forever=Response(200, {}, b'{"id": 7, "token": "a-token-of-someone-else"'))
    with pytest.raises(ProtocolError) as caught:
        world.run(world.session.request(READ))
    error: BaseException | None = caught.value
    while error is not None:
        assert isinstance(error, ProtocolError)
        error = error.__cause__ or error.__context__


def everything_said(world, error):
    return "".join(traceback.format_exception(error)) + repr(vars(error)) + "".join(text for _, text in world.lines)
