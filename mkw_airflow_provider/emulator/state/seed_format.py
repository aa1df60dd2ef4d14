"""The JSON form of a seed: which keys each object has, and which values they allow."""

from __future__ import annotations

import difflib
import json
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

# JavaScript's largest exact integer.
LARGEST_ID = 2**53 - 1

OUTCOMES = ("FINISHED", "FAILED", "CANCELED")

Check = Callable[[Any], "str | None"]


class SeedError(ValueError):
    """A seed is invalid; the message is one sentence with the place in the seed."""

    def __init__(self, place: str, problem: str) -> None:
        super().__init__(f"{place}: {problem}" if place else problem)


def _text(value: Any) -> str | None:
    if not isinstance(value, str) or not value.strip():
        return "expected a text that is not empty"
    try:
        value.encode()
    except UnicodeEncodeError:
        return "expected valid Unicode"
    return "a NUL character is not allowed" if "\0" in value else None


def _optional_text(value: Any) -> str | None:
    return None if value is None or value == "" else _text(value)


def _flag(value: Any) -> str | None:
    return None if isinstance(value, bool) else "expected true or false"


def _id(value: Any) -> str | None:
    valid = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= LARGEST_ID
    return None if valid else "expected an integer, 1 or more"


def _count(value: Any) -> str | None:
    valid = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST_ID
    return None if valid else "expected an integer, 0 or more"


def _seconds(value: Any) -> str | None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return None if number and 0 <= value < math.inf else "expected a number of seconds, 0 or more"


def _outcome(value: Any) -> str | None:
    return None if value in OUTCOMES else f"expected one of {', '.join(OUTCOMES)}"


def _path(value: Any) -> str | None:
    problem = _text(value)
    if problem is None and (not value.startswith("/") or "" in value[1:].split("/")):
        problem = "expected a path such as /BUSINESS_VAULT/CRM"
    return problem


def _texts(value: Any) -> str | None:
    if not isinstance(value, list) or any(_text(item) for item in value):
        return "expected a list of texts"
    return None if len(set(value)) == len(value) else "a text appears twice in the list"


FLAGS: dict[str, Check] = dict.fromkeys(
    ("deleted", "upload_disabled", "insert_disabled", "build_disabled", "edit_disabled"), _flag
)

RELEASE: dict[str, Any] = {
    "name": _text,
    "id": _id,
    "description": _optional_text,
    "closed": _flag,
    "deleted": _flag,
    "start_date": _text,
    "end_date": _text,
    "previous": _text,
}
FOLDER: dict[str, Any] = {"pattern": _text, "path": _path, "id": _id, **FLAGS}
INSTANCE: dict[str, Any] = {
    "pattern": _text,
    "folder": _path,
    "name": _text,
    "id": _id,
    "description": _optional_text,
    "labels": _texts,
    "errors": _count,
    "invalid": _flag,
    "checked_out": _flag,
    "release": _text,
    "build_seconds": _seconds,
    "outcome": _outcome,
    **FLAGS,
}
SEED: dict[str, Any] = {
    "release_groups": [{"name": _text, "id": _id, "description": _optional_text, "releases": [RELEASE]}],
    "agent_groups": [{"name": _text, "id": _id, "description": _optional_text}],
    "agents": [
        {
            "name": _text,
            "id": _id,
            "agent_id": _text,
            "group": _text,
            "online": _flag,
            "deleted": _flag,
            "disabled": _flag,
        }
    ],
    "patterns": [
        {
            "name": _text,
            "id": _id,
            "description": _optional_text,
            "type": _text,
            "vers_no": _text,
            "active": _flag,
            "deleted": _flag,
            "disabled": _flag,
            "release_group": _text,
            "deployments": _texts,
        }
    ],
    "projects": [
        {
            "name": _text,
            "id": _id,
            "deleted": _flag,
            "disabled": _flag,
            "folders": [FOLDER],
            "instances": [INSTANCE],
        }
    ],
}
REQUIRED = {"name", "path", "pattern", "folder"}


def read_seed(source: str | os.PathLike[str] | Mapping[str, Any]) -> dict[str, Any]:
    """Read a seed and check its form.

    :param source: the path of a JSON file, or the seed itself.
    :raises SeedError: for a file that cannot be read, or a seed of another form.
    """
    if isinstance(source, Mapping):
        document: Any = dict(source)
    else:
        document = _read_file(source)
    check_seed(document)
    result: dict[str, Any] = document
    return result


def check_seed(document: Any) -> None:
    """Check the form of a seed: its keys and the types of its values.

    :raises SeedError: for the first problem.
    """
    _check(document, SEED, "")


def suggest(word: str, known: Any) -> str:
    """Return the nearest known word as the end of a sentence, or nothing."""
    near = difflib.get_close_matches(word, [str(one) for one in known], 1, 0.6)
    return f"; did you mean '{near[0]}'?" if near else ""


def _read_file(path: str | os.PathLike[str]) -> Any:
    def reject_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                raise SeedError("", f"the key '{key}' appears twice in one object")
            found[key] = value
        return found

    try:
        return json.loads(Path(path).read_text("utf-8-sig"), object_pairs_hook=reject_duplicates)
    except OSError as error:
        raise SeedError("", f"the file cannot be read: {error.strerror or error}") from None
    except json.JSONDecodeError as error:
        raise SeedError(f"line {error.lineno}, column {error.colno}", f"invalid JSON, {error.msg}") from None
    except UnicodeDecodeError:
        raise SeedError("", "the file is not UTF-8 text") from None
    except RecursionError:
        raise SeedError("", "invalid JSON, nested too deeply") from None


def _check(value: Any, form: Any, place: str) -> None:
    if isinstance(form, list):
        if not isinstance(value, list):
            raise SeedError(place, f"expected a list, got {_show(value)}")
        for index, item in enumerate(value):
            _check(item, form[0], f"{place}[{index}]")
        return
    if isinstance(form, dict):
        if not isinstance(value, dict):
            raise SeedError(place or "the seed", f"expected an object, got {_show(value)}")
        prefix = f"{place}." if place else ""
        for key, item in value.items():
            if key not in form:
                raise SeedError(f"{prefix}{key}", f"unknown key{suggest(str(key), form)}")
            _check(item, form[key], f"{prefix}{key}")
        for key in form:
            if key in REQUIRED and key not in value:
                raise SeedError(place, f"the key '{key}' is missing")
        return
    problem = form(value)
    if problem is not None:
        raise SeedError(place, f"{problem}, got {_show(value)}")


def _show(value: Any) -> str:
    kinds: dict[type, str] = {dict: "an object", list: "a list"}
    return kinds.get(type(value)) or json.dumps(value)[:60]
