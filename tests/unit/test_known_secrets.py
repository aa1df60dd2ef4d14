"""No known secret is left in a text, in whatever form a server repeats it."""

from __future__ import annotations

import base64
import html
import json
import re
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mkw_airflow_provider.client import known_secrets
from mkw_airflow_provider.client.api.builds import Build
from mkw_airflow_provider.client.flows import ApiSession
from mkw_airflow_provider.client.known_secrets import HIDDEN, remember_secrets, remove_secrets
from mkw_airflow_provider.client.settings import Settings
from mkw_airflow_provider.client.storage.file_names import safe_name
from mkw_airflow_provider.client.text import foreign_text, quote_value
from mkw_airflow_provider.client.token_cache import TokenCache
from mkw_airflow_provider.client.validation import instance_list
from mkw_airflow_provider.exceptions import ConfigurationError
from tests.kit.simulation import PROPERTY

SECRET = "p@ss \"w\\örd/ä&'+ 1"
LOGIN = "me@example.com"


def lower(text: str) -> str:
    return re.sub("%..", lambda found: found[0].lower(), text)


def basic(secret: str, encoding: str) -> str:
    return "Basic " + base64.b64encode(f"{LOGIN}:{secret}".encode(encoding)).decode()


FORMS = {
    "plain": str,
    "repr": repr,
    "json": json.dumps,
    "json-unicode": lambda s: json.dumps(s, ensure_ascii=False),
    "json-solidus": lambda s: json.dumps(s).replace("/", "\\/"),
    "json-upper": lambda s: json.dumps(s).replace("\\u00f6", "\\u00F6").replace("\\u00e4", "\\u00E4"),
    "json-html-safe": lambda s: json.dumps(s).replace("&", "\\u0026").replace("'", "\\u0027"),
    "json-in-json": lambda s: json.dumps(json.dumps(json.dumps(s))),
    "html": html.escape,
    "html-decimal": lambda s: re.sub(r"[^A-Za-z0-9]", lambda found: f"&#{ord(found[0])};", s),
    "html-hexadecimal": lambda s: "".join(f"&#x{ord(c):X};" for c in s),
    "html-names": lambda s: html.escape(s).replace("ä", "&auml;").replace("ö", "&ouml;").replace("/", "&sol;"),
    "html-in-html": lambda s: html.escape(html.escape(s)),
    "json-in-html": lambda s: html.escape(json.dumps(s)),
    "html-in-json": lambda s: json.dumps(html.escape(s)),
    "url-path": quote,
    "url": lambda s: quote(s, safe=""),
    "url-form": quote_plus,
    "url-lower": lambda s: lower(quote(s, safe="")),
    "url-latin-1": lambda s: quote(s, safe="", encoding="latin-1"),
    "url-in-url": lambda s: quote(quote(s, safe=""), safe=""),
    "url-in-html-in-json": lambda s: json.dumps(html.escape(quote(s, safe="/&"))),
    "wrong-encoding": lambda s: s.encode().decode("latin-1"),
    "lost-characters": lambda s: s.encode("latin-1").decode("utf-8", "replace"),
}


SECRETS = [SECRET, "Tüpfel/1", "plain-password", "eyJhbGci.eyJzdWIi.a-b_c"]


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_secret_is_removed_in_every_form(form, secret):
    remember_secrets(secret)
    shown = remove_secrets(f"before {form(secret)} after")
    assert shown.startswith("before ")
    assert shown.endswith(" after")
    assert shown.removeprefix("before ").removesuffix(" after").strip("\"'\\&quot;") == HIDDEN


BASE64 = {
    "base64": lambda s: base64.b64encode(s.encode()).decode(),
    "base64-url": lambda s: base64.urlsafe_b64encode(s.encode()).decode().rstrip("="),
    "base64-within": lambda s: base64.b64encode(f"user=me&password={s}&keep=true".encode()).decode(),
    "basic": lambda s: basic(s, "utf-8"),
    "basic-latin-1": lambda s: basic(s, "latin-1"),
    "basic-json": lambda s: basic(s, "utf-8").replace("/", "\\/"),
    "basic-url": lambda s: quote(basic(s, "utf-8"), safe=""),
}


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("form", BASE64.values(), ids=BASE64)
def test_secret_is_removed_within_base64(form, secret):
    remember_secrets(secret)
    encoded = form(secret)
    before, hidden, after = remove_secrets(f"{encoded}, bye").partition(HIDDEN)
    assert hidden
    assert after.endswith(", bye")
    # The login and what else was encoded may stay; the secret's own characters may not.
    assert len(encoded) + len(", bye") - len(before + after) >= len(secret) * 4 // 3


@PROPERTY
@given(
    st.text(st.characters(codec="latin-1", categories=["L", "N", "P", "S"]), min_size=8, max_size=20),
    st.lists(st.sampled_from(["json", "json-unicode", "html", "html-decimal", "url", "url-latin-1"]), max_size=3),
)
def test_secret_is_removed_however_it_is_nested(secret, names):
    remember_secrets(secret)
    text = f"before{secret}after"
    for name in names:
        text = FORMS[name](text)
    assert f"before{HIDDEN}after" in remove_secrets(text)


@pytest.mark.parametrize("login", ["me@example.com", "you@example.com"])
def test_short_password_is_removed_from_basic(login):
    remember_secrets("abc", login="me@example.com")
    remember_secrets("abc", login="you@example.com")
    code = base64.b64encode(f"{login}:abc".encode()).decode()
    assert remove_secrets(f"Authorization: Basic {code}") == f"Authorization: Basic {HIDDEN}"


@pytest.mark.parametrize("length", range(6, 16))
def test_cut_secret_is_removed(length):
    remember_secrets("0123456789abcdef")
    assert foreign_text("token=" + "0123456789abcdef"[:length]) == "token=***"


def test_word_is_not_removed_as_a_cut_secret():
    remember_secrets("sales-mart-2026")
    assert Build.from_json({"id": 1, "status": "FINISHED", "name": "sales-mart"}).to_dict()["name"] == "sales-mart"
    assert safe_name("sales-mart", 1) == "sales-mart"


def test_secret_at_the_cut_of_a_value_is_removed():
    remember_secrets("only-i-know")
    for length in range(180, 200):
        with pytest.raises(ConfigurationError) as caught:
            instance_list({"x" * length: "only-i-know" + "x" * 100})
        assert "only" not in str(caught.value)


@pytest.mark.parametrize("secret", ["пароль", "ж", "日本語"])
def test_question_marks_are_no_secret(secret):
    remember_secrets(secret)
    assert remove_secrets("what ?????? is, a ? b ??? c") == "what ?????? is, a ? b ??? c"


def test_plus_signs_are_a_secret():
    remember_secrets("+++++++")
    assert remove_secrets("password +++++++ refused") == "password *** refused"


def test_longer_secret_is_removed_first():
    remember_secrets("secret", "secret-and-more")
    assert remove_secrets("a secret-and-more, a secret.") == "a ***, a ***."


def test_short_secret_is_removed_as_a_word():
    remember_secrets("x")
    assert remove_secrets("x exists, 'x'; isn't x'x, password=x.") == "*** exists, '***'; isn't ***'x, password=***."


def test_number_of_secrets_is_bounded():
    remember_secrets(*(f"secret-{number}" for number in range(known_secrets.MOST_SECRETS + 5)))
    assert len(known_secrets._known) == known_secrets.MOST_SECRETS


def test_secret_in_use_is_not_forgotten():
    session = ApiSession(Settings("https://mkw.example.com", "me@example.com", "only-i-know"), TokenCache())
    for number in range(known_secrets.MOST_SECRETS + 5):
        next(session.token())
        remember_secrets(f"token-{number}")
    assert remove_secrets("only-i-know") == HIDDEN


def test_many_secrets_need_no_more_lookups():
    remember_secrets("one-secret")
    few = lookups("An instance of the sales mart.")
    remember_secrets(*(f"{number:05}-secret" for number in range(400)))
    assert lookups("An instance of the sales mart.") == few


def lookups(text: str) -> int:
    class Counted(dict[str, list[tuple[str, bool]]]):
        count = 0

        def get(self, *arguments):
            self.count += 1
            return super().get(*arguments)

    known_secrets._all_known._by_beginning = counted = Counted(known_secrets._all_known._by_beginning)
    remove_secrets(text)
    return counted.count


def test_value_is_quoted_without_secrets():
    remember_secrets("it's-me", "only-i-know")
    assert quote_value({"a": "only-i-know\n"}) == r"{'a': '***\n'}"
    assert quote_value({"a": "it's-me", "b": '"'}) == """{'a': "***", 'b': '"'}"""


def test_secret_in_any_script_hides_nothing_else():
    remember_secrets("日本語パス", "あいう")
    assert remove_secrets("????? and ??? and 日本語パス") == "????? and ??? and ***"


@pytest.mark.parametrize("text", ["\\u00", "\\ud83d", "%", "%zz%4", "&", "&#;", "&#x110000;", "&nosuch;", "%C3"])
def test_broken_escapes_are_left_as_they_are(text):
    remember_secrets("only-i-know")
    assert remove_secrets(text) == text
    assert remove_secrets(f"{text}only-i-know{text}") == f"{text}***{text}"
