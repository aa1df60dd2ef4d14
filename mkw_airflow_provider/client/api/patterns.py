"""``/patterns``: find. Only the beginning of the API's page on it is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mkw_airflow_provider.client.model import Record
from mkw_airflow_provider.client.request import Request, api_path, query
from mkw_airflow_provider.client.rows import read_list
from mkw_airflow_provider.client.validation import optional_text


@dataclass(frozen=True)
class Pattern(Record):
    """A template that builds render instances through, with the documented fields.

    :param type: the target platform, such as ``IICS`` or ``SNOWFLAKE``.
    :param vers_no: version of the pattern.
    """

    noun: ClassVar[str] = "pattern"

    name: str | None = None
    description: str | None = None
    type: str | None = None
    vers_no: str | None = None
    status: str | None = None
    active: bool | None = None
    deleted: bool | None = None
    disabled: bool | None = None
    release_group_id: int | None = None


def find_patterns(*, name: str | None = None) -> Request[list[Pattern]]:
    """List patterns (``GET /patterns``).

    :param name: the documented filter.
    :return: the patterns that the user can see.
    """
    return Request("GET", api_path("patterns"), read_list(Pattern.from_json), query(name=optional_text("name", name)))
