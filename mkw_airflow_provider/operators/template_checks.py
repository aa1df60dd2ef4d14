"""Which arguments can be checked when a DAG is read, because they are no templates and come from no other task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mkw_airflow_provider.exceptions import ConfigurationError


def is_literal(value: Any) -> bool:
    """Whether a value is the same when the DAG is read as when the task runs."""
    if isinstance(value, str):
        return "{{" not in value and "{%" not in value
    if isinstance(value, Mapping):
        return all(is_literal(item) for pair in value.items() for item in pair)
    if isinstance(value, (list, tuple)):
        return all(map(is_literal, value))
    return isinstance(value, (int, float, bool))


def check_literal(check: Callable[[str, Any], Any], **values: Any) -> None:
    """Apply a check of :mod:`mkw_airflow_provider.client.validation` to the named values that are literal.

    :raises ConfigurationError: what the check raises.
    """
    for name, value in values.items():
        if is_literal(value):
            check(name, value)


def check_required(**values: Any) -> None:
    """Check that required arguments are not None when the DAG is parsed.

    :raises ConfigurationError: naming the argument.
    """
    for name, value in values.items():
        if value is None:
            raise ConfigurationError(f"`{name}` is required, but it is None")
