"""Undo escaping in a text: that of JSON and Python, of HTML and of URLs, also of one within another."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import TypeAlias

#: How often a text may be escaped: JSON in an HTML page in JSON is three.
ROUNDS = 3

#: Returns the character that an escape stands for; None: it is left as it is.
_Unescape: TypeAlias = Callable[[str], "str | None"]


class Copy:
    """A text with some of its escapes undone.

    :param text: the copy.
    :param begins: where each character of the copy begins in the original.
    :param ends: where it ends there.
    """

    def __init__(self, text: str, begins: Sequence[int], ends: Sequence[int]) -> None:
        self.text = text
        self.begins = begins
        self.ends = ends

    def in_original(self, begin: int, end: int) -> tuple[int, int]:
        """Return which part of the original a part of the copy stands for."""
        return self.begins[begin], self.ends[end - 1]


def unescaped_copies(text: str) -> Iterator[Copy]:
    """Yield a text itself, and every other text that undoing its escapes, up to three times, gives."""
    copies = [Copy(text, range(len(text)), range(1, len(text) + 1))]
    yield copies[0]
    if not _ESCAPE.search(text):
        return
    seen = {text}
    for _ in range(ROUNDS):
        before, copies = copies, []
        for copy in chain.from_iterable(map(_unescape, before)):
            if copy.text not in seen:
                seen.add(copy.text)
                copies.append(copy)
        yield from copies


def _unescape(copy: Copy) -> Iterator[Copy]:
    for pattern, unescape in _ESCAPES:
        characters: list[str] = []
        begins: list[int] = []
        ends: list[int] = []
        at = 0
        for found in re.finditer(pattern, copy.text):
            character = unescape(found[0])
            if character is None:
                continue
            characters += (copy.text[at : found.start()], character)
            begins += (*copy.begins[at : found.start()], copy.begins[found.start()])
            ends += (*copy.ends[at : found.start()], copy.ends[found.end() - 1])
            at = found.end()
        if not characters:
            continue
        characters.append(copy.text[at:])
        begins += copy.begins[at:]
        ends += copy.ends[at:]
        yield Copy("".join(characters), begins, ends)


def _backslash(escaped: str) -> str:
    if len(escaped) == 12:  # two surrogates
        return chr(0x10000 + ((int(escaped[2:6], 16) & 0x3FF) << 10) + (int(escaped[8:], 16) & 0x3FF))
    if len(escaped) > 2:
        return chr(min(int(escaped[2:], 16), 0x10FFFF))
    return _CONTROL.get(escaped[1], escaped[1])


def _entity(escaped: str) -> str | None:
    character = html.unescape(escaped)
    return character if len(character) == 1 else None  # not known, or several characters


def _percent(escaped: str) -> str:
    # As Latin-1, because nobody knows the encoding; UTF-8 is recognized by what it looks like then.
    return chr(int(escaped[1:], 16))


_CONTROL = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", "v": "\v", "a": "\a", "0": "\0"}
_HEX = "[0-9a-fA-F]"
_ESCAPE = re.compile(r"[\\&%]")
#: Compiled when first used: few processes need them, and each that parses a DAG file would compile them.
_ESCAPES: tuple[tuple[str, _Unescape], ...] = (
    (
        rf"\\(?:u[dD][89abAB]{_HEX}{{2}}\\u[dD][c-fC-F]{_HEX}{{2}}|u{_HEX}{{4}}|U{_HEX}{{8}}|x{_HEX}{{2}}|[^uUx])",
        _backslash,
    ),
    (r"&(?:#[0-9]{1,7};?|#[xX][0-9a-fA-F]{1,6};?|[A-Za-z][A-Za-z0-9]{1,31};)", _entity),
    (f"%{_HEX}{{2}}", _percent),
)
