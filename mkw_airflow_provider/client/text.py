"""Text from a server on its way into a log or an error: printable, one line, bounded, without known secrets."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote, unquote_plus, urlsplit

from mkw_airflow_provider.client.known_secrets import HIDDEN, remove_secrets

MAX_TEXT = 2_000
#: Characters that are searched for secrets before a text is shortened. What follows them is never shown.
SEARCHED = 16 * 1024
#: JSON that is nested deeper is hidden instead of searched.
MAX_DEPTH = 20

_SURROGATE = re.compile("[\ud800-\udfff]")
#: Values of a query that are no secret. To hide them would hide the text.
_NO_SECRET = re.compile(r"[0-9]{0,4}|true|false", re.IGNORECASE)


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
    text = remove_secrets(text, *secrets, may_be_cut=True)[: limit * 4]
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
    values = [value for _, value in parse_qsl(parts.query)]
    for pair in parts.query.split("&"):
        # As it is written in the address: a server and a library show it that way. A token may come without a name.
        name, equals, value = pair.partition("=")
        values += [value] if equals else [name, unquote_plus(name)]
    found = [login, *login.split(":", 1), *map(unquote, login.split(":", 1))]
    found += [value for value in values if not _NO_SECRET.fullmatch(value)]
    yield from filter(None, dict.fromkeys(found))
