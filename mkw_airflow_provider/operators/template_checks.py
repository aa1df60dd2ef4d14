"""What templates make of arguments, and which arguments can be checked when a DAG is read because they are none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from jinja2 import Undefined

from mkw_airflow_provider.client.validation import is_operator
from mkw_airflow_provider.selection import InstanceSelector


def is_literal(value: Any) -> bool:
    """Whether a value is the same when the DAG is read as when the task runs."""
    if isinstance(value, str):
        return "{{" not in value and "{%" not in value
    if isinstance(value, Mapping):
        return all(is_literal(item) for pair in value.items() for item in pair)
    if isinstance(value, (list, tuple)):
        return all(map(is_literal, value))
    # An operator is always a mistake: what is meant is its result.
    return value is None or isinstance(value, (int, float, bool, InstanceSelector)) or is_operator(value)


def check_literal(check: Callable[[str, Any], Any], **values: Any) -> None:
    """Apply a check of :mod:`mkw_airflow_provider.client.validation` to the named values that are literal.

    :raises ConfigurationError: what the check raises.
    """
    for name, value in values.items():
        if is_literal(value):
            check(name, value)


def without_undefined(value: Any) -> Any:
    """Return a rendered argument with None for what is not defined, which native templates leave as an object."""
    if isinstance(value, Undefined):
        return None
    if type(value) is dict:
        return {key: without_undefined(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(without_undefined(item) for item in value)
    return value
