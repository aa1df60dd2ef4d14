"""Objects of the API as frozen dataclasses: lenient where the API's pages leave room, strict about identity."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

import pendulum

from mkw_airflow_provider.client.known_secrets import remove_secrets
from mkw_airflow_provider.client.text import foreign_text, quote_value
from mkw_airflow_provider.exceptions import ProtocolError

if TYPE_CHECKING:
    from typing_extensions import Self

#: Characters of a timestamp. Hundreds of them are kept, so a long text must not be taken for one.
LONGEST_MOMENT = 64


@dataclass(frozen=True)
class Record:
    """An object of the API. Subclasses declare the documented fields; only ``id`` must be there.

    A field that is missing, null or of another type than documented reads as None; ``raw`` has it as it came.

    :param id: as given by the server.
    :param raw: the JSON object as received, with undocumented fields.
    """

    id: int
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False, kw_only=True)

    #: What the object is called in messages.
    noun: ClassVar[str] = "object"

    @classmethod
    def from_json(cls, value: Any, only: Collection[str] | None = None) -> Self:
        """Read a JSON object.

        :param only: the fields to read; the others keep their defaults. None: all.
        :raises ProtocolError: where it is no object, or what must be there is not.
        """
        if not isinstance(value, Mapping):
            raise ProtocolError(f"a {cls.noun} must be a JSON object, not {quote_value(value)}")
        columns = _columns(cls)  # type: ignore[arg-type]  # a class is hashable
        names = columns if only is None else only
        values = {name: columns[name][0](value[name]) for name in names if name in value}
        missing = [name for name in _required(cls) if values.get(name) is None]  # type: ignore[arg-type]
        if missing:
            raise ProtocolError(f"a {cls.noun} came without {' and '.join(missing)}: {quote_value(dict(value))}")
        # The constructor of a frozen dataclass takes several times as long. A default is an attribute of the class.
        record = object.__new__(cls)
        record.__dict__.update(values, raw=dict(value))
        return record

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form of the documented fields, without known secrets. Others are in ``raw`` only."""
        return {name: _plain(getattr(self, name)) for name in _columns(type(self))}  # type: ignore[arg-type]


def _plain(value: Any) -> Any:
    if isinstance(value, Record):
        return value.to_dict()
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, pendulum.DateTime):
        return value.to_iso8601_string()
    return remove_secrets(str(value)) if isinstance(value, str) else value


def _integer(value: Any) -> int | None:
    """Read a number; flags may come as numbers (documented) or as booleans."""
    if isinstance(value, (bool, int)):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and re.fullmatch(r"\s*-?[0-9]{1,18}\s*", value):
        return int(value)
    return None


def _flag(value: Any) -> bool | None:
    """Read a flag, which may come as a boolean (documented) or as 0 or 1."""
    return bool(value) if isinstance(value, (bool, int)) else None


def _id(value: Any) -> int | None:
    """Read an id: a number that is not negative, and no flag."""
    number = None if isinstance(value, bool) else _integer(value)
    return number if number is not None and number >= 0 else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def message(value: Any) -> str | None:
    """Read a text that ends up in logs and errors: one printable line of bounded length."""
    return foreign_text(value) if isinstance(value, str) else None


def _moment(value: Any) -> pendulum.DateTime | None:
    """Read an ISO 8601 timestamp (documented) as UTC."""
    # Without a year pendulum takes what is left for a moment of today, as it takes the word "now".
    is_moment = isinstance(value, str) and value[:4].isdecimal() and len(value) <= LONGEST_MOMENT
    return _parsed(value) if is_moment else None


# During a wait, each response repeats most timestamps of the build.
@lru_cache(maxsize=1024)
def _parsed(text: str) -> pendulum.DateTime | None:
    try:
        moment = pendulum.parse(text)
        return moment.in_timezone("UTC") if isinstance(moment, pendulum.DateTime) else None
    except Exception:  # pendulum trips over some texts with errors of any class
        return None


def _integers(value: Any) -> tuple[int, ...]:
    numbers = map(_id, value) if isinstance(value, (list, tuple)) else ()
    return tuple(number for number in numbers if number is not None)


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, (list, tuple)) else ()


_READERS: dict[str, Any] = {
    "bool | None": _flag,
    "tuple[str, ...]": _texts,
    "int | None": _integer,
    "str | None": _text,
    "pendulum.DateTime | None": _moment,
    "tuple[int, ...]": _integers,
}


@cache
def _columns(kind: Any) -> dict[str, tuple[Any, bool]]:
    """Return how to read each documented field, by its ``metadata`` or its annotation, and whether it must be there."""
    return {
        item.name: (_reader(item), item.default is dataclasses.MISSING)
        for item in dataclasses.fields(kind)
        if item.name != "raw"
    }


@cache
def _required(kind: Any) -> tuple[str, ...]:
    """Return the names of the fields that must be there."""
    return tuple(name for name, (_, needed) in _columns(kind).items() if needed)


def _reader(item: dataclasses.Field[Any]) -> Any:
    if "read" in item.metadata:
        return item.metadata["read"]
    is_id = item.name == "id" or (item.name.endswith("_id") and str(item.type) == "int | None")
    return _id if is_id else _READERS[str(item.type)]
