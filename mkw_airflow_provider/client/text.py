"""Text from a server on its way into a log or an error: printable, one line, bounded, without known secrets.

A masker of the log is not enough: exceptions, events and XComs are stored as they are.
"""

from __future__ import annotations

import base64
import dataclasses
import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

#: What takes the place of a secret.
HIDDEN = "***"
MAX_TEXT = 2_000
#: Characters that are searched for secrets before a text is shortened. What follows them is never shown.
SEARCHED = 64 * 1024
#: A secret that is shorter is hidden only where it is a word of its own: a password "x" must not spoil every text.
SHORTEST_INSIDE_A_WORD = 5
#: The oldest are forgotten beyond this number, so that a process of months does not grow.
MOST_SECRETS = 500
#: JSON that is nested deeper is hidden instead of searched.
MAX_DEPTH = 20
#: A secret's first characters at the end of a cut text are removed from this length on; shorter ones may be any word.
SHORTEST_BEGINNING = 6

#: The "t" of "don't" is no word.
_WORD = r"(?<!\w)(?<!\w')({})(?!\w)"

_SURROGATE = re.compile("[\ud800-\udfff]")

_known: dict[str, tuple[str, ...]] = {}
#: Every form of every known secret, the longest first: one may begin with another.
_forms: tuple[str, ...] = ()


def remember_secrets(*secrets: str | None, login: str | None = None) -> None:
    """Remove secrets from every text that passes through this module from now on.

    :param login: the login that a password belongs to, because Basic authentication sends both as one text.
    """
    global _forms
    new = {secret: _forms_of(secret, login) for secret in secrets if secret and secret not in _known}
    if not new:
        return
    _known.update(new)
    while len(_known) > MOST_SECRETS:
        _known.pop(next(iter(_known)), None)
    _forms = _longest_first(form for forms in list(_known.values()) for form in forms)


def _longest_first(forms: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(forms), key=len, reverse=True))


def _forms_of(secret: str, login: str | None = None) -> tuple[str, ...]:
    """Return a secret in every form in which a server repeats what it was sent."""
    encoded = secret.encode("utf-8", "surrogatepass")
    forms = {
        secret,
        # As cleaning leaves it.
        " ".join(secret.split()),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        json.dumps(secret)[1:-1].replace("/", "\\/"),
        repr(secret)[1:-1],
        html.escape(secret),
        html.escape(secret).replace("&#x27;", "&#39;").replace("&quot;", "&#34;"),
    }
    for quoted in (quote(encoded, safe=""), quote(encoded), quote_plus(encoded)):
        forms |= {quoted, _lower_escapes(quoted)}
    for plain in (encoded, *([f"{login}:".encode() + encoded] if login else [])):
        for code in (base64.b64encode(plain), base64.urlsafe_b64encode(plain)):
            forms |= {code.decode(), code.decode().rstrip("=")}
    return tuple(form for form in forms if form)


def _lower_escapes(quoted: str) -> str:
    head, *rest = quoted.split("%")
    return "%".join([head, *(part[:2].lower() + part[2:] for part in rest)])


def remove_secrets(text: str, *more: str) -> str:
    """Return a text without known secrets.

    :param more: secrets of this text only, such as the signature in an address.
    """
    forms = _forms
    if more:
        forms = _longest_first([*forms, *(form for secret in more if secret for form in _forms_of(secret))])
    for form in forms:
        if form in text:
            short = len(form) < SHORTEST_INSIDE_A_WORD
            text = re.sub(_WORD.format(re.escape(form)), HIDDEN, text) if short else text.replace(form, HIDDEN)
    return _hide_cut_end(text, forms)


def _hide_cut_end(text: str, forms: Iterable[str]) -> str:
    """Hide the beginning of a secret at a text's end, where somebody cut the text."""
    end = text[-SHORTEST_BEGINNING:]
    if len(end) < SHORTEST_BEGINNING:
        return text
    for form in forms:
        at = form.find(end)
        while at >= 0:
            if text.endswith(form[: at + SHORTEST_BEGINNING]):
                return text[: -(at + SHORTEST_BEGINNING)] + HIDDEN
            at = form.find(end, at + 1)
    return text


def without_secrets(value: Any, depth: int = 0) -> Any:
    """Return JSON, or a dataclass of the API's objects, without known secrets in any text in it."""
    if isinstance(value, str):
        return remove_secrets(value)
    if depth > MAX_DEPTH:
        return HIDDEN
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {item.name: getattr(value, item.name) for item in dataclasses.fields(value)}
        return dataclasses.replace(value, **{name: without_secrets(item, depth + 1) for name, item in fields.items()})
    if isinstance(value, Mapping):
        return {without_secrets(key, depth + 1): without_secrets(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(without_secrets(item, depth + 1) for item in value)
    return value


def foreign_text(value: str | bytes, limit: int = MAX_TEXT, secrets: Iterable[str] = ()) -> str:
    """Return text that others wrote, fit for a log or an error: printable, one line, bounded, without secrets.

    :param secrets: secrets of this text only.
    """
    text = value[:SEARCHED].decode("utf-8", "replace") if isinstance(value, bytes) else value[:SEARCHED]
    text = remove_secrets(text, *secrets)[: limit * 4]
    if not text.isprintable():
        # A lone surrogate is half of a character that someone cut: it is shown, but not kept.
        text = _SURROGATE.sub("\ufffd", text)
        text = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(text.split())[:limit]


def quote_value(value: object, limit: int = 200) -> str:
    """Return a value as Python writes it, fit for an error."""
    return foreign_text(repr(value), limit)


def address_without_secrets(url: str) -> str:
    """Return scheme, host and path of an address: its login and its query may be secrets."""
    url = url.partition("?")[0].partition("#")[0]
    scheme, separator, rest = url.partition("://")
    if separator:
        host, slash, path = rest.partition("/")
        url = f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"
    return foreign_text(url)


def secrets_in_address(url: str) -> Iterator[str]:
    """Yield login, password and the values of the query of an address, such as its signature."""
    parts = urlsplit(url)
    login = parts.netloc.rpartition("@")[0]
    found = [login, *login.split(":", 1), *map(unquote, login.split(":", 1))]
    found += [value for _, value in parse_qsl(parts.query)]
    # As they are written in the address: a server and a library show them that way.
    found += [pair.partition("=")[2] for pair in parts.query.split("&")]
    for secret in dict.fromkeys(found):
        # Shorter ones are numbers and flags; to hide them would hide the text.
        if len(secret) >= SHORTEST_INSIDE_A_WORD:
            yield secret
