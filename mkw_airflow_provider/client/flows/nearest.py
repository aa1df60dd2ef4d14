"""The existing names that are nearest to a wrong one, because the server only says "not found"."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, NamedTuple

from mkw_airflow_provider.client.request import Request
from mkw_airflow_provider.client.session import ApiSession, Flow
from mkw_airflow_provider.client.text import foreign_text
from mkw_airflow_provider.exceptions import MetaKraftwerkError, NotFoundError


class Name(NamedTuple):
    """A name that a request contains.

    :param kind: what it names, as the error says it.
    :param value: the name; None: the request has none of this kind.
    :param existing: the list of what exists.
    """

    kind: str
    value: str | None
    existing: Request[list[Any]]


def explain_not_found(session: ApiSession, error: NotFoundError, names: Iterable[Name]) -> Flow[NotFoundError]:
    """Return an error that says which of the names of a request does not exist; if all exist, the error as it is."""
    for name in names:
        if name.value is None:
            continue
        try:
            existing = {record.name for record in (yield from session.request(name.existing))}
        except MetaKraftwerkError as problem:
            session.log.warning("The existing %ss cannot be listed: %s", name.kind, problem)
            continue
        if name.value not in existing:
            note = f"the {name.kind} {name.value!r} does not exist{describe_nearest(name.value, existing)}"
            return NotFoundError(error.status, error.message, error.method, error.path, note)
    return error


def describe_nearest(wanted: str, existing: Iterable[str | None]) -> str:
    """Return the nearest existing names, in parentheses; empty if none is near."""
    nearest = get_close_matches(wanted, [name for name in existing if name], n=3, cutoff=0.6)
    return f" (nearest: {', '.join(map(foreign_text, nearest))})" if nearest else ""
