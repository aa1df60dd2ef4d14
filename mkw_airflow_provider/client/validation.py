"""Checks of what users pass: clear errors before anything is sent."""

from __future__ import annotations

import json
import math
import operator
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

from mkw_airflow_provider.client.text import quote_value
from mkw_airflow_provider.exceptions import ConfigurationError


def is_given(value: Any) -> bool:
    """Whether a value was given: a template renders nothing, or None, to a text."""
    return value is not None and not (isinstance(value, str) and value.strip() in ("", "None"))


def exactly_one(**values: Any) -> None:
    """Check that exactly one of the named values is given.

    :raises ConfigurationError: naming what is missing or too much.
    """
    given = [name for name, value in values.items() if is_given(value)]
    if len(given) != 1:
        names = " or ".join(f"`{name}`" for name in values)
        found = "none is given" if not given else "given are " + " and ".join(f"`{name}`" for name in given)
        raise ConfigurationError(f"exactly one of {names} is needed; {found}")


def at_most_one(**values: Any) -> None:
    """Check that not more than one of the named values is given.

    :raises ConfigurationError: naming those that are mutually exclusive.
    """
    given = [f"`{name}`" for name, value in values.items() if is_given(value)]
    if len(given) > 1:
        raise ConfigurationError(f"{' and '.join(given)} are mutually exclusive; give one of them")


def refusal(name: str, value: Any, expected: str, hint: str = "") -> ConfigurationError:
    """Return the error about an argument: which one, what was given, what is expected, and the cure if it is known."""
    if hasattr(value, "task_id") and hasattr(value, "output"):
        hint = "give the operator's `.output`, not the operator itself"
    return ConfigurationError(f"`{name}` must be {expected}, not {quote_value(value)}{hint and '; '}{hint}")


def whole_number(name: str, value: Any, hint: str = "") -> int:
    """Return an id as int: anything that Python takes as an index, and digits as text, because templates render text.

    :param hint: where to look, appended to the message.
    :raises ConfigurationError: for anything else, also for None and for a bool.
    """
    number = None
    if isinstance(value, str):
        number = int(value) if re.fullmatch(r"\s*[0-9]{1,100}\s*", value) else None
    elif not isinstance(value, bool):
        with suppress(TypeError):
            number = operator.index(value)
    if number is None or number < 0:
        raise refusal(name, value, "a number", hint)
    return number


def optional_number(name: str, value: Any) -> int | None:
    """Return an id as int, or None if none is given."""
    return whole_number(name, value) if is_given(value) else None


def optional_text(name: str, value: Any) -> str | None:
    """Return a name, or None if none is given.

    :raises ConfigurationError: for what is no text.
    """
    if not is_given(value):
        return None
    if isinstance(value, str):
        return value
    raise refusal(name, value, "a text")


def seconds(name: str, value: Any) -> float:
    """Return a duration in seconds.

    :param value: a number above 0, or a ``timedelta``.
    :raises ConfigurationError: for anything else.
    """
    number = value.total_seconds() if isinstance(value, timedelta) else value
    is_number = isinstance(number, (int, float)) and not isinstance(number, bool)
    if not is_number or not 0 < number < math.inf:
        raise refusal(name, value, "a number of seconds above 0, or a timedelta")
    return float(number)


def optional_seconds(name: str, value: Any) -> float | None:
    """Return a duration in seconds, or None if none is given."""
    return None if value is None else seconds(name, value)


def boolean(name: str, value: Any) -> bool:
    """Return a flag that is read when the DAG is parsed, so that no text can be one.

    :raises ConfigurationError: for anything but True and False.
    """
    if isinstance(value, bool):
        return value
    raise refusal(name, value, "True or False", "it is no template field" if isinstance(value, str) else "")


def flag(name: str, value: Any) -> bool:
    """Return a bool; the words that a rendered template makes of one are accepted.

    :raises ConfigurationError: for anything else.
    """
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word in ("true", "false"):
        return word == "true"
    raise refusal(name, value, "true or false")


def optional_flag(name: str, value: Any) -> bool | None:
    """Return a bool, or None where none is given."""
    return flag(name, value) if is_given(value) else None


def name_list(name: str, value: Any) -> list[str] | None:
    """Return names, or None where none are given.

    :param value: a list of texts, or its JSON text, which is what a template renders to.
    :raises ConfigurationError: for anything else.
    """
    value = json_value(name, value)
    if value is None:
        return None
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise refusal(name, value, "a list of names")
    return [_required_text(f"{name}[{number}]", entry) for number, entry in enumerate(value)]


def pattern_list(name: str, value: Any) -> tuple[re.Pattern[str], ...]:
    """Return regular expressions, compiled.

    :raises ConfigurationError: for what is not a list of them.
    """
    if isinstance(value, str) or not isinstance(value, Sequence):
        cure = f"; write [{value!r:.200}] for a single one" if isinstance(value, str) else ""
        raise ConfigurationError(f"`{name}` must be a list of regular expressions, not {value!r:.200}{cure}")
    return tuple(_pattern(f"{name}[{number}]", entry) for number, entry in enumerate(value))


def _pattern(name: str, value: Any) -> re.Pattern[str]:
    try:
        return re.compile(_required_text(name, value))
    except (re.error, OverflowError, RecursionError) as error:
        raise ConfigurationError(f"`{name}` is not a regular expression: {value!r:.200}: {error}") from error


def destination_text(value: Any) -> str:
    """Return a destination as text: a URL, or the absolute path of a local folder.

    :param value: text, or a path object.
    :raises ConfigurationError: for what would end up in another place than its author meant.
    """
    text = "" if value is None else str(value).strip()
    if text in ("", "None"):
        raise ConfigurationError("`destination` is empty or rendered to nothing; name an absolute path or a URL")
    if "{{" in text or "{%" in text:
        raise ConfigurationError(f"`destination` {text!r:.500} still contains a template after rendering")
    scheme, separator, rest = text.partition("://")
    if separator:
        authority, slash, _ = rest.partition("/")
        host = authority.rpartition("@")[2]
        if scheme.lower() in ("file", "local") and (host or not slash):
            raise ConfigurationError(
                f"`destination` {text!r:.500} names the host {host!r:.100}; the URL of a local folder begins with file:///"
            )
        return text
    path = os.path.expanduser(text)
    if path.startswith("~"):
        raise ConfigurationError(f"`destination` {text!r:.500} names a user that is not known on this machine")
    if not os.path.isabs(path):
        raise ConfigurationError(
            f"`destination` {text!r:.500} is relative; write an absolute path, because each task runs elsewhere"
        )
    return path


def instance_list(value: Any) -> list[dict[str, Any]]:
    """Return the instances of a build in the API's form: each by id, or by pattern, folder and name (documented).

    :param value: a list of such mappings, or its JSON text, which is what a template renders to.
    :raises ConfigurationError: naming the first wrong entry.
    """
    value = json_value("instances", value)
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        raise refusal("instances", value, "a list with at least one instance")
    return [_instance(number, entry) for number, entry in enumerate(value)]


def _instance(number: int, entry: Any) -> dict[str, Any]:
    by_name = ("pattern", "folder", "name")
    where = f"`instances[{number}]`"
    if not isinstance(entry, Mapping):
        raise refusal(f"instances[{number}]", entry, "a mapping", _mapping_for(entry))
    if set(entry) == {"id"}:
        return {"id": whole_number(f"instances[{number}]['id']", entry["id"])}
    if set(entry) == set(by_name):
        return {key: _required_text(f"instances[{number}]['{key}']", entry[key]) for key in by_name}
    keys = ", ".join(sorted(map(str, entry))) or "nothing"
    raise ConfigurationError(f"{where} must have either `id`, or `pattern`, `folder` and `name`; it has {keys}")


def _required_text(name: str, value: Any) -> str:
    if isinstance(value, str) and value.strip():
        return value
    raise refusal(name, value, "a non-empty text")


def release_mapping(value: Any) -> dict[str, str] | None:
    """Return releases as release group name to release name (documented), or None where none is given.

    :raises ConfigurationError: for anything else.
    """
    value = json_value("releases", value)
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise refusal("releases", value, "a mapping of release groups to releases")
    return {
        _required_text("releases", group): _required_text(f"releases[{group!r}]", release)
        for group, release in value.items()
    }


def _mapping_for(entry: Any) -> str:
    """Return how to write an id that was given alone."""
    with suppress(ConfigurationError):
        return f'write {{"id": {whole_number("id", entry)}}}'
    return ""


def json_value(name: str, value: Any) -> Any:
    """Return a value as it is, and text, which is what a template renders to, decoded from JSON.

    :raises ConfigurationError: for text that is not JSON.
    """
    if not isinstance(value, str):
        return value
    if not is_given(value):
        return None
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        hint = "; it looks like a Python value: write `| tojson` in the template, or set render_template_as_native_obj"
        is_python = value.strip()[:1] in ("[", "{", "(")
        raise ConfigurationError(
            f"`{name}` is text, but not JSON: {quote_value(value)}{hint if is_python else ''}"
        ) from error
