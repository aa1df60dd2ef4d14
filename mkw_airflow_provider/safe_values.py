"""The one function that everything handed to Airflow passes through: events, XComs, trigger arguments, link data.

Airflow's triggerer cannot encode every JSON value, and PostgreSQL does not store every one. Either failure ends the
triggerer for all tasks of the site, and again after each restart, so no such value may leave this package.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from datetime import date
from enum import Enum
from typing import Any

#: More nested than this is no value of the API.
MAX_DEPTH = 20
#: Characters of one text.
MAX_TEXT = 10_000
#: Items and characters of a whole value, so that one event or XCom stays below some megabytes.
MAX_ITEMS = 500_000
MAX_CHARACTERS = 16_000_000
TOO_DEEP = "(nested too deeply)"

# Lone surrogates have no UTF-8, and JSONB cannot hold NUL.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
# Python refuses to read thousands of digits in decimal, as it refuses to write them.
_INTEGER = re.compile("-?([0-9]{1,4000}|(?P<hexadecimal>0x[0-9a-f]+))")
# Airflow takes a mapping with one of these keys for an object that it serialized itself.
_RESERVED_KEYS = frozenset({"__classname__", "__data__", "__id__", "__source__", "__type", "__var", "__version__"})


def safe_value(value: Any) -> Any:
    """Return the JSON form of a value that every part of Airflow can encode and store.

    Lone surrogates and NUL become U+FFFD, integers beyond 64 bits text, NaN and infinity None. What is nested too
    deeply or too large is cut.

    :param value: JSON, or objects that have a JSON form, such as timestamps, enums and tuples.
    """
    return _Cleaner().clean(value, 0)


def restored_integer(value: Any) -> int | None:
    """Return the integer of which :func:`safe_value` made a number or a text; None if it is no integer."""
    if isinstance(value, str) and (match := _INTEGER.fullmatch(value)):
        return int(value, 16 if match["hexadecimal"] else 10)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def restored_integers(value: Any) -> list[int]:
    """Return the integers of a list that :func:`safe_value` made; what is no integer is left out."""
    numbers = map(restored_integer, value) if isinstance(value, (list, tuple)) else ()
    return [number for number in numbers if number is not None]


class _Cleaner:
    """One pass over a value; counts what it has let through."""

    def __init__(self) -> None:
        self._items = 0
        self._characters = 0

    def clean(self, value: Any, depth: int) -> Any:
        if isinstance(value, Enum):
            value = value.value
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int):
            return self._integer(int(value))
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else None
        if isinstance(value, Mapping):
            return self._mapping(value, depth) if depth < MAX_DEPTH else TOO_DEEP
        if isinstance(value, (list, tuple, set, frozenset)):
            return self._list(value, depth) if depth < MAX_DEPTH else TOO_DEEP
        if isinstance(value, date):
            value = value.isoformat()
        return self._text(value if isinstance(value, str) else _described(value))

    def _integer(self, value: int) -> Any:
        if -(2**63) <= value < 2**64:
            return value
        # Python refuses to write thousands of digits in decimal.
        return self._text(str(value) if value.bit_length() < 4096 else hex(value))

    def _mapping(self, value: Mapping[Any, Any], depth: int) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key, item in value.items():
            if self._is_full():
                break
            name = self.clean(key, depth) if isinstance(key, (str, int, float, Enum, date)) else _described(key)
            name = self._text(str(name))
            result[name.replace("__", "_") if name in _RESERVED_KEYS else name] = self.clean(item, depth + 1)
        return result

    def _list(self, value: Iterable[Any], depth: int) -> list[Any]:
        result = []
        for item in value:
            if self._is_full():
                break
            result.append(self.clean(item, depth + 1))
        return result

    def _is_full(self) -> bool:
        self._items += 1
        return self._items > MAX_ITEMS or self._characters > MAX_CHARACTERS

    def _text(self, value: str) -> str:
        # A plain string: encoders know no subclasses.
        text = _UNSTORABLE.sub("\ufffd", str.__str__(value))
        if len(text) > MAX_TEXT:
            text = text[: MAX_TEXT - 1] + "…"
        self._characters += len(text)
        return text


def _described(value: object) -> str:
    try:
        return str(value)
    except Exception:
        return f"({type(value).__name__})"
