"""Text from a server: printable, one line, bounded, and without known secrets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mkw_airflow_provider.client import text
from mkw_airflow_provider.client.known_secrets import remember_secrets
from mkw_airflow_provider.client.text import (
    MAX_TEXT,
    address_without_secrets,
    foreign_text,
    quote_value,
    secrets_in_address,
)
from tests.kit.simulation import PROPERTY


def test_secret_across_the_limit_is_removed():
    remember_secrets("0123456789abcdef")
    for size in range(MAX_TEXT - 20, MAX_TEXT + 1):
        assert "012345" not in foreign_text("x" * size + "0123456789abcdef" + "y" * 100)
    assert "012345" not in foreign_text("\n" * (text.SEARCHED - 8) + "0123456789abcdef")


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


def test_control_characters_cannot_forge_a_line():
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


@pytest.mark.parametrize(
    ("url", "secrets"),
    [
        ("https://admin:p%40ssw0rd@h/x", {"admin:p%40ssw0rd", "admin", "p%40ssw0rd", "p@ssw0rd"}),
        ("https://h/x?sig=a%2Bbcdef&Expires=900&id=secret-id", {"a+bcdef", "a%2Bbcdef", "secret-id"}),
        ("https://h/x?s3cr%2Ft-token", {"s3cr%2Ft-token", "s3cr/t-token"}),
        ("https://h/x?sig=kZ7&v=2&raw=true", {"kZ7"}),
        ("https://me:pw@h/x", {"me:pw", "me", "pw"}),
        ("https://h/x", set()),
    ],
)
def test_login_and_query_of_a_url_are_secrets(url, secrets):
    assert set(secrets_in_address(url)) == secrets
