"""Checks of what users pass: clear errors before anything is sent."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from mkw_airflow_provider.exceptions import ConfigurationError


def exactly_one(**values: Any) -> None:
    """Check that one of the named values is given, and only one.

    :raises ConfigurationError: naming what is missing or too much.
    """
    given = [name for name, value in values.items() if value is not None]
    if len(given) != 1:
        names = " or ".join(f"`{name}`" for name in values)
        found = "none is given" if not given else "given are " + " and ".join(f"`{name}`" for name in given)
        raise ConfigurationError(f"exactly one of {names} is needed; {found}")


def at_most_one(**values: Any) -> None:
    """Check that not more than one of the named values is given.

    :raises ConfigurationError: naming those that exclude each other.
    """
    given = [f"`{name}`" for name, value in values.items() if value is not None]
    if len(given) > 1:
        raise ConfigurationError(f"{' and '.join(given)} exclude each other; give one of them")


def whole_number(name: str, value: Any, hint: str = "") -> int:
    """Return an id as int; text of digits is accepted, for a rendered template is text.

    :param hint: where to look, appended to the message.
    :raises ConfigurationError: for anything else, also for None and for a bool.
    """
    number = None
    if isinstance(value, int) and not isinstance(value, bool):
        number = value
    elif isinstance(value, str) and re.fullmatch(r"\s*[0-9]{1,100}\s*", value):
        number = int(value)
    if number is None or number < 0:
        raise ConfigurationError(f"`{name}` must be a number, not {value!r:.200}{hint and '; '}{hint}")
    return number


def optional_number(name: str, value: Any) -> int | None:
    """Return an id as int, or None where none is given."""
    return None if value is None else whole_number(name, value)


def optional_text(name: str, value: Any) -> str | None:
    """Return a name, or None where none is given.

    :raises ConfigurationError: for what is no text, or empty.
    """
    if value is None or (isinstance(value, str) and value.strip()):
        return value
    raise ConfigurationError(f"`{name}` must be a non-empty text, not {value!r:.200}")


def flag(name: str, value: Any) -> bool:
    """Return a bool; the words that a rendered template makes of one are accepted.

    :raises ConfigurationError: for anything else.
    """
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word in ("true", "false"):
        return word == "true"
    raise ConfigurationError(f"`{name}` must be true or false, not {value!r:.200}")


def optional_flag(name: str, value: Any) -> bool | None:
    """Return a bool, or None where none is given."""
    return None if value is None else flag(name, value)


def name_list(name: str, value: Any) -> list[str] | None:
    """Return names, or None where none are given.

    :param value: a list of texts, or its JSON text, which is what a template renders to.
    :raises ConfigurationError: for anything else.
    """
    value = _from_json_text(name, value)
    if value is None:
        return None
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise ConfigurationError(f"`{name}` must be a list of names, not {value!r:.200}")
    return [_required_text(f"{name}[{number}]", entry) for number, entry in enumerate(value)]


def instance_list(value: Any) -> list[dict[str, Any]]:
    """Return the instances of a build in the API's form: each by id, or by pattern, folder and name (documented).

    :param value: a list of such mappings, or its JSON text, which is what a template renders to.
    :raises ConfigurationError: naming the first wrong entry.
    """
    value = _from_json_text("instances", value)
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        raise ConfigurationError(f"`instances` must be a list with at least one instance, not {value!r:.200}")
    return [_instance(number, entry) for number, entry in enumerate(value)]


def _instance(number: int, entry: Any) -> dict[str, Any]:
    by_name = ("pattern", "folder", "name")
    where = f"`instances[{number}]`"
    if not isinstance(entry, Mapping):
        raise ConfigurationError(f"{where} must be a mapping, not {entry!r:.200}")
    if set(entry) == {"id"}:
        return {"id": whole_number(f"instances[{number}]['id']", entry["id"])}
    if set(entry) == set(by_name):
        return {key: _required_text(f"instances[{number}]['{key}']", entry[key]) for key in by_name}
    keys = ", ".join(sorted(map(str, entry))) or "nothing"
    raise ConfigurationError(f"{where} must have either `id`, or `pattern`, `folder` and `name`; it has {keys}")


def _required_text(name: str, value: Any) -> str:
    if isinstance(value, str) and value.strip():
        return value
    raise ConfigurationError(f"`{name}` must be a non-empty text, not {value!r:.200}")


def release_mapping(value: Any) -> dict[str, str] | None:
    """Return releases as release group name to release name (documented), or None where none is given.

    :raises ConfigurationError: for anything else.
    """
    value = _from_json_text("releases", value)
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"`releases` must map release groups to releases, not {value!r:.200}")
    return {
        _required_text("releases", group): _required_text(f"releases[{group!r}]", release)
        for group, release in value.items()
    }


def _from_json_text(name: str, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"`{name}` is text, but not JSON: {value!r:.200}") from error
