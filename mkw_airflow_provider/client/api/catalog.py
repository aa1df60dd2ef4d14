"""The read-only lists that name things: projects and patterns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mkw_airflow_provider.client.model import Record
from mkw_airflow_provider.client.request import Request, api_path, query
from mkw_airflow_provider.client.rows import read_list
from mkw_airflow_provider.client.validation import optional_text


@dataclass(frozen=True)
class Project(Record):
    """A project that the user may see, with the documented fields."""

    noun: ClassVar[str] = "project"

    name: str | None = None
    deleted: int | None = None
    disabled: int | None = None


@dataclass(frozen=True)
class Pattern(Record):
    """A pattern: what a build renders instances through. Some of the documented fields."""

    noun: ClassVar[str] = "pattern"

    name: str | None = None
    type: str | None = None


def find_projects(name: str | None = None) -> Request[list[Project]]:
    """List projects; ``name`` is the documented filter."""
    return Request("GET", api_path("projects"), read_list(Project.from_json), query(name=optional_text("name", name)))


def find_patterns(name: str | None = None) -> Request[list[Pattern]]:
    """List patterns; ``name`` is the documented filter."""
    return Request("GET", api_path("patterns"), read_list(Pattern.from_json), query(name=optional_text("name", name)))
