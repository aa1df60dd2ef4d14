"""Find and remove known secrets in a text, in every form in which a server repeats what it was sent.

A masker of the log is not enough: exceptions, events and XComs are stored as they are.
"""

from __future__ import annotations

import base64
import itertools
from collections.abc import Iterable, Iterator
from contextlib import suppress

from mkw_airflow_provider.client.escapes import unescaped_copies

#: What takes the place of a secret.
HIDDEN = "***"
#: A secret that is shorter is hidden only where it is a word of its own: a password "x" must not spoil every text.
SHORTEST_INSIDE_A_WORD = 5
#: Those that were not used for the longest time are forgotten beyond this number, so that a process of months does not
#: grow.
MOST_SECRETS = 500
#: A secret's first characters at the end of a cut text are removed from this length on; shorter ones may be any word.
SHORTEST_BEGINNING = 6

_BASE64 = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_")


class _Forms:
    """The forms of some secrets, found by their first characters: a search takes as long for hundreds as for one.

    :param forms: each with whether it is a part of a Base64 text.
    """

    def __init__(self, forms: Iterable[tuple[str, bool]]) -> None:
        self._by_beginning: dict[str, list[tuple[str, bool]]] = {}
        self._short: list[str] = []
        # The longest first, because one secret may begin with another.
        for form, is_base64 in sorted(set(forms), key=lambda item: len(item[0]), reverse=True):
            if len(form) < SHORTEST_INSIDE_A_WORD:
                self._short.append(form)
            else:
                self._by_beginning.setdefault(form[:SHORTEST_INSIDE_A_WORD], []).append((form, is_base64))

    def find(self, text: str, *, may_be_cut: bool) -> Iterator[tuple[int, int]]:
        """Yield where a secret begins and ends."""
        for begin in range(len(text) - SHORTEST_INSIDE_A_WORD + 1 if self._by_beginning else 0):
            forms = self._by_beginning.get(text[begin : begin + SHORTEST_INSIDE_A_WORD])
            if forms:
                yield from _matches(text, begin, forms, may_be_cut=may_be_cut)
        for form in self._short:
            begin = text.find(form)
            while begin >= 0:
                if _is_word(text, begin, begin + len(form)):
                    yield begin, begin + len(form)
                begin = text.find(form, begin + 1)


def _matches(
    text: str, begin: int, forms: Iterable[tuple[str, bool]], *, may_be_cut: bool
) -> Iterator[tuple[int, int]]:
    for form, is_base64 in forms:
        if text.startswith(form, begin):
            end = begin + len(form)
        elif may_be_cut and len(text) - begin >= SHORTEST_BEGINNING and form.startswith(text[begin:]):
            end = len(text)
        else:
            continue
        yield _whole_base64(text, begin, end) if is_base64 else (begin, end)
        return


def _whole_base64(text: str, begin: int, end: int) -> tuple[int, int]:
    """Include the characters before and after, which hold some bits of the secret, and the padding."""
    if begin and text[begin - 1] in _BASE64:
        begin -= 1
    if end < len(text) and text[end] in _BASE64:
        end += 1
    while end < len(text) and text[end] == "=":
        end += 1
    return begin, end


def _is_word(text: str, begin: int, end: int) -> bool:
    if end < len(text) and _is_word_character(text[end]):
        return False
    before = text[max(0, begin - 2) : begin]
    # The "t" of "don't" is no word.
    is_after_apostrophe = before[1:] == "'" and _is_word_character(before[0])
    return not (is_after_apostrophe or _is_word_character(before[-1:]))


def _is_word_character(character: str) -> bool:
    return character.isalnum() or character == "_"


#: By secret and login.
_known: dict[tuple[str, str | None], frozenset[tuple[str, bool]]] = {}
#: When each was remembered last, as a growing number.
_used: dict[tuple[str, str | None], int] = {}
_uses = itertools.count()
_all_known = _Forms(())


def remember_secrets(*secrets: str | None, login: str | None = None) -> None:
    """Remove secrets from every text that passes through this module from now on.

    :param login: the login that a password belongs to, because Basic authentication sends both as one text.
    """
    global _all_known
    given = {(secret, login) for secret in secrets if secret and secret.strip()}
    _used.update((key, next(_uses)) for key in given)
    new = given - _known.keys()
    if not new:
        return
    _known.update({(secret, login): _forms_of(secret, login) for secret, login in new})
    while len(_known) > MOST_SECRETS:
        oldest = min(list(_known), key=lambda key: _used.get(key, -1))
        _known.pop(oldest, None)
        _used.pop(oldest, None)
    _all_known = _Forms(form for forms in list(_known.values()) for form in forms)


def _forms_of(secret: str, login: str | None = None) -> frozenset[tuple[str, bool]]:
    """Return a secret as text and in Base64. What only escapes characters is found by undoing that."""
    encoded = _encodings(secret)
    texts = {
        secret,
        # As cleaning leaves it.
        " ".join(secret.split()),
        # In the wrong encoding.
        *(code.decode("latin-1") for code in encoded),
        *(code.decode("utf-8", "replace") for code in encoded),
    }
    # As a form sends them.
    texts |= {text.replace(" ", "+") for text in texts}
    if login is not None and len(secret) < SHORTEST_INSIDE_A_WORD:
        encoded |= {code + b":" + end for code in _encodings(login) for end in encoded}
    in_base64 = {part for code in encoded for part in _base64_parts(code)}
    # What holds nothing of the secret but its length is no form of it.
    texts = {secret, *(text for text in texts if text.strip("+?\ufffd "))}
    return frozenset([(text, False) for text in texts] + [(part, True) for part in in_base64])


def _encodings(text: str) -> set[bytes]:
    encoded = {text.encode("utf-8", "surrogatepass")}
    with suppress(UnicodeEncodeError):
        encoded.add(text.encode("latin-1"))
    return encoded


def _base64_parts(code: bytes) -> Iterator[str]:
    """Yield what Base64 makes of bytes within longer ones, for each of the three positions that they may have."""
    if len(code) < SHORTEST_INSIDE_A_WORD:
        return
    for before in range(3):
        padded = bytes(before) + code
        whole = slice(-(-before * 8 // 6), len(padded) * 8 // 6)
        yield base64.b64encode(padded).decode()[whole]
        yield base64.urlsafe_b64encode(padded).decode()[whole]


def remove_secrets(text: str, *more: str, may_be_cut: bool = False) -> str:
    """Return a text without known secrets.

    :param more: secrets of this text only, such as the signature in an address.
    :param may_be_cut: whether the text may end within a secret. In one that is whole, a word at its end is no secret
        only because a password begins with it.
    """
    searched = [_all_known]
    if more:
        searched.append(_Forms(form for secret in more if secret for form in _forms_of(secret)))
    found = sorted(
        copy.in_original(begin, end)
        for copy in unescaped_copies(text)
        for forms in searched
        for begin, end in forms.find(copy.text, may_be_cut=may_be_cut)
    )
    shown, shown_to = "", 0
    for begin, end in found:
        if begin >= shown_to:
            shown += text[shown_to:begin] + HIDDEN
        shown_to = max(shown_to, end)
    return shown + text[shown_to:]
