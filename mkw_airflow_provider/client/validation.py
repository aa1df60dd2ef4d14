"""Checks of what users pass: clear errors before anything is sent, with the cure where it is known."""

from __future__ import annotations

import ast
import json
import operator
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from numbers import Real
from typing import Any

from mkw_airflow_provider.client.text import foreign_text, quote_value
from mkw_airflow_provider.exceptions import ConfigurationError

#: A hundred years: what is longer cannot be added to a date.
_MAX_SECONDS = 3_155_760_000


def is_nothing(value: Any) -> bool:
    """Whether a value counts as not given: None, or what a template makes of None or of nothing."""
    return value is None or (isinstance(value, str) and value.strip() in ("", "None"))


def is_operator(value: Any) -> bool:
    """Whether a value is a whole operator, which people pass where its result is meant."""
    return hasattr(value, "task_id") and hasattr(value, "output")


def exactly_one(**values: Any) -> None:
    """Check that one of the named values is given, and only one.

    :raises ConfigurationError: naming what is missing or too much.
    """
    given = [name for name, value in values.items() if not is_nothing(value)]
    if len(given) != 1:
        names = " or ".join(f"`{name}`" for name in values)
        found = "nothing is given" if not given else "given are " + " and ".join(f"`{name}`" for name in given)
        raise ConfigurationError(f"exactly one of {names} is needed; {found}")


def at_most_one(**values: Any) -> None:
    """Check that not more than one of the named values is given.

    :raises ConfigurationError: naming those that are mutually exclusive.
    """
    given = [f"`{name}`" for name, value in values.items() if not is_nothing(value)]
    if len(given) > 1:
        raise ConfigurationError(f"{' and '.join(given)} are mutually exclusive; give one of them")


def whole_number(name: str, value: Any, hint: str = "") -> int:
    """Return an id as int.

    :param value: what Python takes as an index, such as an integer of NumPy; or digits as text, for a rendered template
        is text.
    :param hint: where to look, appended to the message.
    :raises ConfigurationError: for anything else, also for None and for a bool.
    """
    number = None
    if isinstance(value, str) and re.fullmatch(r"\s*[0-9]{1,100}\s*", value):
        number = int(value)
    elif not isinstance(value, (bool, str)):
        # An array of NumPy has `__index__` and still is not a number.
        with suppress(TypeError):
            number = operator.index(value)
    if number is None or number < 0:
        raise _wrong(name, "a number", value, hint)
    return number


def positive_number(name: str, value: Any) -> int:
    """Return a number that must be known when the DAG file is parsed: no text.

    :raises ConfigurationError: for anything but a whole number above 0.
    """
    if not isinstance(value, str):
        with suppress(ConfigurationError):
            number = whole_number(name, value)
            if number > 0:
                return number
    raise _wrong(name, "a whole number of at least 1", value)


def choice(name: str, value: Any, options: Sequence[str], *, default: str | None = None) -> Any:
    """Return one of several words.

    :param default: for a value that is not given.
    :raises ConfigurationError: for anything else.
    """
    if default is not None and is_nothing(value):
        return default
    if isinstance(value, str) and value in options:
        return value
    raise _wrong(name, f"one of {', '.join(options)}", value)


def optional_number(name: str, value: Any) -> int | None:
    """Return an id as int, or None if it is not given."""
    return None if is_nothing(value) else whole_number(name, value)


def optional_text(name: str, value: Any) -> str | None:
    """Return a name, or None if it is not given. An enum's member is its value, not its name.

    :raises ConfigurationError: for what is not text.
    """
    if is_nothing(value):
        return None
    if isinstance(value, str):
        return str.__str__(value)
    raise _wrong(name, "text", value)


def optional_description(name: str, value: Any) -> str | None:
    """Return free text, or None if it is not given; what a template makes of a number or a list is text, too.

    :raises ConfigurationError: for an operator, whose result is meant.
    """
    if is_nothing(value):
        return None
    if is_operator(value):
        raise _wrong(name, "text", value)
    return str.__str__(value) if isinstance(value, str) else str(value)


def flag(name: str, value: Any, *, default: bool = False) -> bool:
    """Return a bool; the words that a rendered template makes of one are accepted.

    :param default: for a value that is not given.
    :raises ConfigurationError: for anything else.
    """
    if is_nothing(value):
        return default
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word in ("true", "false"):
        return word == "true"
    raise _wrong(name, "true or false", value)


def fixed_flag(name: str, value: Any) -> bool:
    """Return a bool that must be known when the DAG file is parsed: no text, which would count as true.

    :raises ConfigurationError: for anything but a bool.
    """
    if isinstance(value, bool):
        return value
    raise _wrong(name, "True or False, and not a template", value)


def seconds(name: str, value: Any) -> float:
    """Return a duration in seconds: a number above 0, or a ``timedelta``.

    :raises ConfigurationError: for anything else.
    """
    number: Any = value.total_seconds() if isinstance(value, timedelta) else value
    # NumPy registers its numbers as real ones.
    is_real = isinstance(number, Real) and not isinstance(value, bool)
    if is_real and 0 < number < _MAX_SECONDS:
        return float(number)
    raise _wrong(name, "a number of seconds above 0, or a timedelta", value)


def optional_seconds(name: str, value: Any) -> float | None:
    """Return a duration in seconds, or None if it is not given."""
    return None if value is None else seconds(name, value)


def optional_flag(name: str, value: Any) -> bool | None:
    """Return a bool, or None if it is not given."""
    return None if is_nothing(value) else flag(name, value)


def name_list(name: str, value: Any) -> list[str] | None:
    """Return names, or None where none are given.

    :param value: a list of texts, or its JSON text, which is what a template renders to.
    :raises ConfigurationError: for anything else.
    """
    is_bare_name = isinstance(value, str) and value.strip()[:1] not in ("[", '"')
    cure = f"write {foreign_text(json.dumps([value]), 200)}" if is_bare_name else ""
    value = json_value(name, value, cure)
    if value is None:
        return None
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise _wrong(name, "a list of names", value)
    return [_required_text(f"{name}[{number}]", entry) for number, entry in enumerate(value)]


def pattern_list(name: str, value: Any) -> tuple[re.Pattern[str], ...]:
    """Return regular expressions, compiled.

    :raises ConfigurationError: for what is not a list of them.
    """
    if isinstance(value, str) or not isinstance(value, Sequence):
        cure = f"; write [{quote_value(value)}] for a single one" if isinstance(value, str) else ""
        raise ConfigurationError(f"`{name}` must be a list of regular expressions, not {quote_value(value)}{cure}")
    return tuple(_pattern(f"{name}[{number}]", entry) for number, entry in enumerate(value))


def _pattern(name: str, value: Any) -> re.Pattern[str]:
    try:
        return re.compile(_required_text(name, value))
    except (re.error, OverflowError, RecursionError) as error:
        raise ConfigurationError(f"`{name}` is not a regular expression: {quote_value(value)}: {error}") from error


def destination_text(value: Any) -> str:
    """Return a destination as text: a URL, or the absolute path of a local folder.

    :param value: text, or a path object.
    :raises ConfigurationError: for what would end up in another place than its author meant.
    """
    text = "" if value is None else str(value).strip()
    if text in ("", "None"):
        raise ConfigurationError("`destination` is empty or rendered to nothing; name an absolute path or a URL")
    shown = quote_value(text, 500)
    if "{{" in text or "{%" in text:
        raise ConfigurationError(f"`destination` {shown} still contains a template after rendering")
    scheme, separator, rest = text.partition("://")
    if separator:
        authority, slash, _ = rest.partition("/")
        host = authority.rpartition("@")[2]
        if scheme.lower() in ("file", "local") and (host or not slash):
            raise ConfigurationError(
                f"`destination` {shown} names the host {quote_value(host, 50)}; a local folder's URL begins with file:///"
            )
        return text
    path = os.path.expanduser(text)
    if path.startswith("~"):
        raise ConfigurationError(f"`destination` {shown} names a user that is not known on this machine")
    if not os.path.isabs(path):
        raise ConfigurationError(f"`destination` {shown} is relative; write an absolute path: each task runs elsewhere")
    return path


def instance_list(value: Any) -> list[dict[str, Any]]:
    """Return the instances of a build in the API's form: each by id, or by pattern, folder and name (documented).

    :param value: a list of such mappings, or its JSON text, which is what a template renders to.
    :raises ConfigurationError: naming the first wrong entry.
    """
    value = json_value("instances", value)
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        cure = f"write [{quote_value(value)}]" if isinstance(value, Mapping) and value else _by_id_cure(value, "[{}]")
        raise _wrong("instances", "a list with at least one instance", value, cure)
    return [_instance(number, entry) for number, entry in enumerate(value)]


def _instance(number: int, entry: Any) -> dict[str, Any]:
    by_name = ("pattern", "folder", "name")
    where = f"`instances[{number}]`"
    if not isinstance(entry, Mapping):
        raise _wrong(f"instances[{number}]", "a mapping", entry, _by_id_cure(entry, "{}"))
    if set(entry) == {"id"}:
        return {"id": whole_number(f"instances[{number}]['id']", entry["id"])}
    if set(entry) == set(by_name):
        return {key: _required_text(f"instances[{number}]['{key}']", entry[key]) for key in by_name}
    keys = ", ".join(sorted(map(str, entry))) or "nothing"
    raise ConfigurationError(f"{where} must have either `id`, or `pattern`, `folder` and `name`; it has {keys}")


def _by_id_cure(value: Any, form: str) -> str:
    """Return how to write an instance by its id, if a value is a bare number."""
    try:
        by_id = json.dumps({"id": whole_number("id", value)})
    except ConfigurationError:
        return ""
    return f"write {form.replace('{}', by_id)}"


def _required_text(name: str, value: Any) -> str:
    if isinstance(value, str) and not is_nothing(value):
        return str.__str__(value)
    raise _wrong(name, "a non-empty text", value)


def release_mapping(value: Any) -> dict[str, str] | None:
    """Return releases as release group name to release name (documented), or None if it is not given.

    :raises ConfigurationError: for anything else.
    """
    value = json_value("releases", value)
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise _wrong("releases", "a mapping of release groups to releases", value)
    return {
        _required_text("releases", group): _required_text(f"releases[{group!r}]", release)
        for group, release in value.items()
    }


def manifest_mapping(name: str, value: Any) -> Mapping[str, Any] | None:
    """Return the manifest of a download task, or None if it is not given.

    :param value: a mapping, or its JSON text.
    :raises ConfigurationError: for anything else.
    """
    value = json_value(name, value)
    if value is None or isinstance(value, Mapping):
        return value
    raise _wrong(name, "the manifest of a download task", value)


def json_value(name: str, value: Any, cure: str = "") -> Any:
    """Return a value as it is, or decoded if it is JSON text, which is what a template renders to.

    :param cure: what to write instead, if that is known.
    :return: None also for what counts as not given.
    :raises ConfigurationError: for text that is not JSON.
    """
    if is_nothing(value):
        return None
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        raise _wrong(name, "JSON where it is text", value, _python_text_cure(value) or cure) from error


def _python_text_cure(text: str) -> str:
    """Return how to render a template as JSON, if a text is what Python writes for a list or a mapping."""
    try:
        is_python = isinstance(ast.literal_eval(text.strip()), (list, tuple, dict))
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return ""
    return (
        "this is how Python writes it: add the filter `tojson` to the template, or set `render_template_as_native_obj` "
        "of the DAG"
        if is_python
        else ""
    )


def _wrong(name: str, expected: str, value: Any, cure: str = "") -> ConfigurationError:
    """Return the error about one argument: what was given, what is expected, and the cure where it is known."""
    if is_operator(value):
        given, cure = f"the task {value.task_id!r}", "pass its result, with `.output`"
    elif value is not None and is_nothing(value):
        given = f"{value!r}, which is what a template renders to for nothing"
    else:
        given = quote_value(value)
    return ConfigurationError(f"`{name}` must be {expected}, not {given}{cure and '; '}{cure}")
