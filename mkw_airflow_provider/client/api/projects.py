"""``/projects``: find. Only the beginning of the API's page on it is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mkw_airflow_provider.client.model import Record
from mkw_airflow_provider.client.request import Request, api_path, query
from mkw_airflow_provider.client.rows import read_list
from mkw_airflow_provider.client.validation import optional_text


@dataclass(frozen=True)
class Project(Record):
    """A project that the user can see, with the documented fields."""

    noun: ClassVar[str] = "project"

    name: str | None = None
    deleted: bool | None = None
    disabled: bool | None = None


def find_projects(*, name: str | None = None) -> Request[list[Project]]:
    """List projects (``GET /projects``).

    :param name: the documented filter; an unknown name probably returns an empty list.
    :return: the projects that the user can see.
    """
    return Request("GET", api_path("projects"), read_list(Project.from_json), query(name=optional_text("name", name)))
