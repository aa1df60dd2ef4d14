"""``/instance_folders``: find. Only the beginning of the API's page on it is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mkw_airflow_provider.client.model import Record
from mkw_airflow_provider.client.request import Request, api_path, query
from mkw_airflow_provider.client.rows import read_list
from mkw_airflow_provider.client.validation import (
    at_most_one,
    exactly_one,
    optional_flag,
    optional_number,
    optional_text,
)


@dataclass(frozen=True)
class InstanceFolder(Record):
    """A folder of instances within a project and a pattern, with the documented fields.

    :param parent_folder_id: None for a folder at the root.
    :param path: from the root, such as ``/BUSINESS_VAULT/CRM``.
    """

    noun: ClassVar[str] = "instance folder"

    project_id: int | None = None
    pattern_id: int | None = None
    parent_folder_id: int | None = None
    name: str | None = None
    path: str | None = None
    deleted: bool | None = None
    upload_disabled: bool | None = None
    insert_disabled: bool | None = None
    build_disabled: bool | None = None
    edit_disabled: bool | None = None


def find_instance_folders(
    *,
    project: str | None = None,
    project_id: int | None = None,
    pattern: str | None = None,
    pattern_id: int | None = None,
    name: str | None = None,
    deleted: bool | None = None,
) -> Request[list[InstanceFolder]]:
    """List the folders of a project (``GET /instance_folders``).

    :param project: name of the project; exactly one of it and ``project_id`` (documented).
    :param pattern: name of the pattern; mutually exclusive with ``pattern_id``.
    :param deleted: only deleted folders, or only others; None: no filter.
    :raises ConfigurationError: if the project is missing, or a name and an id of the same thing are given.
    """
    exactly_one(project=project, project_id=project_id)
    at_most_one(pattern=pattern, pattern_id=pattern_id)
    filters = query(
        project=optional_text("project", project),
        project_id=optional_number("project_id", project_id),
        pattern=optional_text("pattern", pattern),
        pattern_id=optional_number("pattern_id", pattern_id),
        name=optional_text("name", name),
        deleted=optional_flag("deleted", deleted),
    )
    return Request("GET", api_path("instance_folders"), read_list(InstanceFolder.from_json), filters)
