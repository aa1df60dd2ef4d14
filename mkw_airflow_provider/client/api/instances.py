"""``/instances``: find. Only the beginning of the API's page on it is known; uploading instances is not offered."""

from __future__ import annotations

from collections.abc import Mapping
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
    release_mapping,
)


@dataclass(frozen=True)
class Instance(Record):
    """The metadata of one table, with the documented fields and the flags that the page offers as filters.

    :param errors: number of validation errors.
    :param invalid: whether it failed its validation; likely, because only the filter is documented.
    :param build_disabled: whether builds leave it out; likely, for the same reason.
    :param deleted: whether it was deleted; likely, for the same reason.
    """

    noun: ClassVar[str] = "instance"

    customer_id: int | None = None
    name: str | None = None
    project_id: int | None = None
    pattern_id: int | None = None
    errors: int | None = None
    instance_folder_id: int | None = None
    version: int | None = None
    description: str | None = None
    release_id: int | None = None
    identity_id: int | None = None
    user_id: int | None = None
    latest_commit_id: int | None = None
    labels: tuple[str, ...] = ()
    deleted: bool | None = None
    invalid: bool | None = None
    build_disabled: bool | None = None


def find_instances(
    *,
    project: str | None = None,
    project_id: int | None = None,
    pattern: str | None = None,
    pattern_id: int | None = None,
    folder: str | None = None,
    name: str | None = None,
    releases: Mapping[str, str] | None = None,
    checked_out: bool | None = None,
    checked_out_by_user: str | None = None,
    checked_out_by_user_id: int | None = None,
    deleted: bool | None = None,
    invalid: bool | None = None,
    upload_disabled: bool | None = None,
    insert_disabled: bool | None = None,
    build_disabled: bool | None = None,
    edit_disabled: bool | None = None,
) -> Request[list[Instance]]:
    """List the instances of a project (``GET /instances``).

    Each flag keeps only the instances that have it, or only the others; None: no filter.

    :param project: name of the project; exactly one of it and ``project_id`` (documented).
    :param pattern: name of the pattern; mutually exclusive with ``pattern_id``.
    :param folder: path of the folder.
    :param releases: release group name to release name; sent as JSON, because its encoding is not documented.
    :param checked_out_by_user: name of the user; mutually exclusive with ``checked_out_by_user_id``.
    :raises ConfigurationError: if the project is missing, or a name and an id of the same thing are given.
    """
    exactly_one(project=project, project_id=project_id)
    at_most_one(pattern=pattern, pattern_id=pattern_id)
    at_most_one(checked_out_by_user=checked_out_by_user, checked_out_by_user_id=checked_out_by_user_id)
    flags = {
        "checked_out": checked_out,
        "deleted": deleted,
        "invalid": invalid,
        "upload_disabled": upload_disabled,
        "insert_disabled": insert_disabled,
        "build_disabled": build_disabled,
        "edit_disabled": edit_disabled,
    }
    filters = query(
        project=optional_text("project", project),
        project_id=optional_number("project_id", project_id),
        pattern=optional_text("pattern", pattern),
        pattern_id=optional_number("pattern_id", pattern_id),
        folder=optional_text("folder", folder),
        name=optional_text("name", name),
        releases=release_mapping(releases),
        checked_out_by_user=optional_text("checked_out_by_user", checked_out_by_user),
        checked_out_by_user_id=optional_number("checked_out_by_user_id", checked_out_by_user_id),
        **{name: optional_flag(name, value) for name, value in flags.items()},
    )
    return Request("GET", api_path("instances"), read_list(Instance.from_json), filters)
