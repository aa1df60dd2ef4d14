"""Lists of the API, read row by row."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, NoReturn, TypeVar

from mkw_airflow_provider.client import json_text
from mkw_airflow_provider.client.request import Response
from mkw_airflow_provider.client.text import foreign_text
from mkw_airflow_provider.exceptions import ProtocolError

T = TypeVar("T")


class Rows(list[T]):
    """The rows of a list that can be read.

    :param reason: why the first row that cannot be read was skipped.
    """

    total = 0
    skipped = 0
    reason = ""


@dataclass(frozen=True)
class ReadList(Generic[T]):
    """Reads an array, which is what every find endpoint returns (documented), row by row.

    A row that cannot be read is skipped: what is wrong with one old build must not break a search for another.

    :param read: reads one row.
    :param keep: which rows to keep in memory; None: all.
    """

    read: Callable[[Any], T]
    keep: Callable[[T], bool] | None = None
    #: Tells :attr:`.Request.is_list`.
    is_list: ClassVar[bool] = True

    def __call__(self, response: Response) -> Rows[T]:
        """Return the rows.

        :raises ProtocolError: if the body is not a JSON array.
        """
        rows: Rows[T] = Rows()
        for value in _rows_of(response):
            rows.total += 1
            try:
                row = self.read(value.refuse() if isinstance(value, _UnreadableRow) else value)
            except ProtocolError as error:
                rows.skipped += 1
                rows.reason = rows.reason or str(error)
            else:
                if self.keep is None or self.keep(row):
                    rows.append(row)
        return rows


@dataclass(frozen=True)
class _UnreadableRow:
    """The beginning of a row that is no JSON."""

    text: str

    def refuse(self) -> NoReturn:
        """Raise what is wrong."""
        raise ProtocolError(f"a row is not the documented JSON: {foreign_text(self.text, 200)}")


def _rows_of(response: Response) -> Iterator[Any]:
    """Yield the rows of a JSON array one by one: together they would take many times the memory of the text."""
    with suppress(ValueError, RecursionError):
        text = json_text.decode_text(response.body)
        at = _after(text, 0, r"\[")
        if re.compile(r"\s*\]").match(text, at) is None:
            while True:
                value, at = _row_at(text, _after(text, at, ""))
                yield value
                if re.compile(r"\s*,").match(text, at) is None:
                    break
                at = _after(text, at, ",")
        _after(text, at, r"\]\s*\Z")
        return
    # Raised outside of any handler: the decoder's error holds the whole body.
    raise ProtocolError(
        f"the response ({response.described}) is not the documented array: {foreign_text(response.body, 200)}"
    )


def _row_at(text: str, at: int) -> tuple[Any, int]:
    try:
        return json_text.decode_at(text, at)
    except (ValueError, RecursionError):
        end = json_text.skip(text, at)
        return _UnreadableRow(text[at : min(end, at + 200)]), end


def _after(text: str, at: int, expected: str) -> int:
    """Return the position after blanks and what is expected there."""
    match = re.compile(rf"\s*{expected}").match(text, at)
    if match is None:
        raise ValueError(f"no {expected} at {at}")
    return match.end()


def read_list(read: Callable[[Any], T], keep: Callable[[T], bool] | None = None) -> ReadList[T]:
    """Return a reader of arrays."""
    return ReadList(read, keep)
