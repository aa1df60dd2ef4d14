"""Decode JSON as servers send it: one broken character must not make everything else unreadable."""

from __future__ import annotations

import json
import re
from typing import Any

#: A complete text, or the begin or end of an object or array.
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)


def decode(body: bytes) -> Any:
    """Return the value of a JSON text.

    :raises ValueError: if it is no JSON.
    :raises RecursionError: if it is nested too deeply.
    """
    try:
        return json.loads(body)
    except ValueError:
        return _TOLERANT.decode(decode_text(body))


def decode_text(body: bytes) -> str:
    """Return a body as text; what is no text in its encoding is replaced."""
    encoding = json.detect_encoding(body)
    try:
        return body.decode(encoding, "surrogatepass")
    except UnicodeDecodeError:
        return body.decode(encoding, "replace")


def decode_at(text: str, at: int) -> tuple[Any, int]:
    """Return the value that begins at a position, and the position of its end.

    :raises ValueError: if there is no value.
    :raises RecursionError: if it is nested too deeply.
    """
    try:
        return _STRICT.raw_decode(text, at)
    except ValueError:
        return _TOLERANT.raw_decode(text, at)


def skip(text: str, at: int) -> int:
    """Return the end of the object or array that begins at a position, whatever is in it.

    :raises ValueError: if it does not end, as in a truncated body.
    """
    depth = 0
    for token in _TOKEN.finditer(text, at):
        if depth == 0 and token.start() != at:
            break
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(token[0], 0)
        if depth <= 0:
            return token.end()
    raise ValueError(f"no complete object or array at {at}")


def _integer(text: str) -> int | str:
    """Return an integer; one with more digits than Python converts as text."""
    try:
        return int(text)
    except ValueError:
        return text


_STRICT = json.JSONDecoder()
#: It also takes line ends within texts.
_TOLERANT = json.JSONDecoder(strict=False, parse_int=_integer)
