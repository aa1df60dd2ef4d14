"""Declare, check and parse the values of switches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from typing import Any

ON_WORDS = {"true", "on", "1", "yes"}
OFF_WORDS = {"false", "off", "0", "no"}

# More than any test needs; the limit also refuses NaN and infinity.
LARGEST = 1_000_000_000


def switch(
    default: Any,
    meaning: str,
    reason: str,
    *,
    one_of: tuple[Any, ...] | None = None,
    check: Callable[[str], bool] | None = None,
    allowed: str = "",
    signed: bool = False,
) -> Any:
    """Declare a switch.

    :param meaning: what it does, one sentence.
    :param reason: why the default is as it is, one sentence.
    :param one_of: the allowed values.
    :param check: tells whether a text is allowed; ``allowed`` then describes the allowed texts.
    :param signed: whether a number may be negative.
    """
    if not allowed:
        if one_of:
            allowed = ", ".join(str(value) for value in one_of)
        elif isinstance(default, bool):
            allowed = "true, false"
        else:
            kind = "an integer" if isinstance(default, int) else "a number"
            allowed = kind if signed else f"{kind}, 0 or more"
    metadata = {"meaning": meaning, "reason": reason, "one_of": one_of, "check": check, "allowed": allowed}
    return field(default=default, metadata=metadata | {"signed": signed})


def check_value(item: Any, value: Any) -> Any:
    """Return the value of a switch in the type of its default.

    :param item: the dataclass field of the switch.
    :raises ValueError: for a value that is not allowed.
    """
    if not _is_allowed(item, value):
        raise ValueError(f"'{value}' is not a value of switch '{item.name}'. Allowed: {item.metadata['allowed']}")
    return float(value) if isinstance(item.default, float) else value


def parse_value(item: Any, text: str) -> Any:
    """Return the value of a switch that a command line gives as text.

    :param item: the dataclass field of the switch.
    :raises ValueError: for a value that is not allowed.
    """
    default = item.default
    if isinstance(default, bool):
        word = text.lower()
        return check_value(item, True if word in ON_WORDS else False if word in OFF_WORDS else text)
    if isinstance(default, (int, float)):
        try:
            return check_value(item, type(default)(text))
        except ValueError:
            return check_value(item, text)
    return check_value(item, text)


def _is_allowed(item: Any, value: Any) -> bool:
    default, one_of, check = item.default, item.metadata["one_of"], item.metadata["check"]
    if isinstance(default, bool):
        return isinstance(value, bool)
    if one_of is not None:
        return type(value) is type(default) and value in one_of
    if check is not None:
        return isinstance(value, str) and check(value)
    kinds = (int,) if isinstance(default, int) else (int, float)
    if not isinstance(value, kinds) or isinstance(value, bool):
        return False
    return (-LARGEST if item.metadata["signed"] else 0) <= value <= LARGEST
