"""Text from a server: printable, one line, bounded, and without any secret in any form."""

from __future__ import annotations

import base64
import html
import json
import re
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mkw_airflow_provider.client import text
from mkw_airflow_provider.client.text import (
    HIDDEN,
    MAX_TEXT,
    address_without_secrets,
    foreign_text,
    quote_value,
    remember_secrets,
    remove_secrets,
    secrets_in_address,
)
from tests.kit.simulation import PROPERTY

SECRET = "p@ss \"w\\örd/ä&'+ 1"


@pytest.mark.parametrize(
    "form",
    [
        str,
        repr,
        json.dumps,
        lambda s: json.dumps(s, ensure_ascii=False),
        html.escape,
        quote,
        quote_plus,
        lambda s: quote(s, safe=""),
        lambda s: re.sub("%..", lambda found: found[0].lower(), quote(s, safe="")),
        lambda s: base64.b64encode(s.encode()).decode(),
        lambda s: base64.urlsafe_b64encode(s.encode()).decode().rstrip("="),
        lambda s: "Basic " + base64.b64encode(f"me@example.com:{s}".encode()).decode(),
    ],
)
def test_secret_is_removed_in_every_form(form):
    remember_secrets(SECRET, login="me@example.com")
    shown = remove_secrets(f"before {form(SECRET)} after")
    assert HIDDEN in shown
    assert form(SECRET).strip("\"'") not in shown
    assert shown.startswith("before ")
    assert shown.endswith(" after")


@pytest.mark.parametrize("length", range(6, 16))
def test_cut_secret_is_removed(length):
    remember_secrets("0123456789abcdef")
    assert foreign_text("token=" + "0123456789abcdef"[:length]) == "token=***"


def test_secret_across_the_limit_is_removed():
    remember_secrets("0123456789abcdef")
    for size in range(MAX_TEXT - 20, MAX_TEXT + 1):
        assert "012345" not in foreign_text("x" * size + "0123456789abcdef" + "y" * 100)
    assert "012345" not in foreign_text("\n" * (text.SEARCHED - 8) + "0123456789abcdef")


def test_longer_secret_is_removed_before_its_beginning():
    remember_secrets("secret", "secret-and-more")
    assert remove_secrets("a secret-and-more, a secret.") == "a ***, a ***."


def test_short_secret_is_removed_as_a_word():
    remember_secrets("x")
    assert remove_secrets("x exists, 'x'; isn't x'x, password=x.") == "*** exists, '***'; isn't ***'x, password=***."


def test_number_of_secrets_is_bounded():
    remember_secrets(*(f"secret-{number}" for number in range(text.MOST_SECRETS + 5)))
    assert len(text._known) == text.MOST_SECRETS
    assert remove_secrets(f"secret-{text.MOST_SECRETS + 4}") == HIDDEN


@PROPERTY
@given(st.text())
def test_any_text_becomes_one_printable_line(value):
    shown = foreign_text(value)
    assert shown.isprintable()
    shown.encode()
    assert shown == foreign_text(shown)


@pytest.mark.parametrize("value", ["x" * 10_000_000, b"x" * 10_000_000, "\n" * 5_000_000 + "x"], ids=range(3))
def test_text_is_bounded(value):
    assert len(foreign_text(value)) <= MAX_TEXT


def test_line_ends_and_escapes_cannot_forge_a_line():
    assert foreign_text("ok\r\n2026 ERROR forged\x1b[31m\u202e \0") == "ok 2026 ERROR forged [31m"


def test_value_is_quoted_without_secrets():
    remember_secrets("only-i-know")
    assert quote_value({"a": "only-i-know\n"}) == r"{'a': '***\n'}"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://me:pw@files.example.com:8443/a/b?sig=1#x", "https://files.example.com:8443/a/b"),
        ("https://files.example.com", "https://files.example.com"),
        ("https://a@b@files.example.com/x@y", "https://files.example.com/x@y"),
        ("/api/v1/builds?user=1", "/api/v1/builds"),
    ],
)
def test_address_shows_scheme_host_and_path(url, shown):
    assert address_without_secrets(url) == shown


def test_login_and_query_of_an_address_are_secrets():
    found = list(secrets_in_address("https://admin:p%40ssw0rd@h/x?sig=a%2Bbcdef&Expires=900&id=secret-id"))
    assert {"admin", "p@ssw0rd", "p%40ssw0rd", "a+bcdef", "a%2Bbcdef", "secret-id"} <= set(found)
    assert "900" not in found
