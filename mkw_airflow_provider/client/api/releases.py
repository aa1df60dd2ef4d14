"""``/releases`` and ``/release_groups``: find. Only the beginning of the API's pages on them is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pendulum

from mkw_airflow_provider.client.model import Record
from mkw_airflow_provider.client.request import Request, api_path, query
from mkw_airflow_provider.client.rows import read_list
from mkw_airflow_provider.client.validation import at_most_one, optional_flag, optional_number, optional_text


@dataclass(frozen=True)
class Release(Record):
    """A version of patterns and instances, comparable to a branch, with the documented fields."""

    noun: ClassVar[str] = "release"

    group_id: int | None = None
    name: str | None = None
    description: str | None = None
    start_date: pendulum.DateTime | None = None
    end_date: pendulum.DateTime | None = None
    closed: bool | None = None
    deleted: bool | None = None
    hotfix_of_id: int | None = None
    prev_release_id: int | None = None


@dataclass(frozen=True)
class ReleaseGroup(Record):
    """A group of releases. Its fields are likely, not documented."""

    noun: ClassVar[str] = "release group"

    name: str | None = None
    description: str | None = None


def find_releases(
    *, group: str | None = None, group_id: int | None = None, name: str | None = None, closed: bool | None = None
) -> Request[list[Release]]:
    """List releases (``GET /releases``). All filters are optional (documented).

    :param group: name of the release group; mutually exclusive with ``group_id``.
    :param closed: only closed releases, or only open ones; None: both.
    :raises ConfigurationError: if both ``group`` and ``group_id`` are given.
    """
    at_most_one(group=group, group_id=group_id)
    filters = query(
        group=optional_text("group", group),
        group_id=optional_number("group_id", group_id),
        name=optional_text("name", name),
        closed=optional_flag("closed", closed),
    )
    return Request("GET", api_path("releases"), read_list(Release.from_json), filters)


def find_release_groups(*, name: str | None = None) -> Request[list[ReleaseGroup]]:
    """List release groups (``GET /release_groups``).

    :param name: a filter that is likely, not documented.
    """
    filters = query(name=optional_text("name", name))
    return Request("GET", api_path("release_groups"), read_list(ReleaseGroup.from_json), filters)
