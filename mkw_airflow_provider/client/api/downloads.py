"""``/downloads``: the files that a build made. Only the beginning of the API's page on it is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mkw_airflow_provider.client.model import Record
from mkw_airflow_provider.client.request import Request, Response, Sink, api_path, query
from mkw_airflow_provider.client.rows import read_list
from mkw_airflow_provider.client.validation import at_most_one, optional_number, optional_text, whole_number


@dataclass(frozen=True)
class Download(Record):
    """One file of a build.

    A build lists ``id``, ``pattern``, ``pattern_id``, ``file_id`` and ``name`` (documented, by example);
    ``GET /downloads`` adds the rest, but not ``pattern`` (documented). Neither gives a size or a checksum.
    """

    noun: ClassVar[str] = "download"

    pattern: str | None = None
    pattern_id: int | None = None
    name: str | None = None
    file_id: int | None = None
    customer_id: int | None = None
    file_name: str | None = None
    type: str | None = None
    build_id: int | None = None
    project_id: int | None = None
    version: int | None = None
    upload_id: int | None = None
    downloaded: int | None = None
    instance_id: int | None = None


@dataclass(frozen=True)
class DownloadedFile:
    """A complete file under its final name.

    :param path: where, as a local path or a URL.
    :param size: in bytes.
    :param sha256: of its content, in hexadecimal.
    """

    path: str
    size: int
    sha256: str


def find_downloads(
    *, build_id: int | None = None, pattern: str | None = None, pattern_id: int | None = None
) -> Request[list[Download]]:
    """List downloads. All filters are optional (documented).

    :raises ConfigurationError: where both ``pattern`` and ``pattern_id`` are given.
    """
    at_most_one(pattern=pattern, pattern_id=pattern_id)
    filters = query(
        build_id=optional_number("build_id", build_id),
        pattern=optional_text("pattern", pattern),
        pattern_id=optional_number("pattern_id", pattern_id),
    )
    return Request("GET", api_path("downloads"), read_list(Download.from_json), filters)


def get_file(download_id: int, sink: Sink) -> Request[Response]:
    """Download a file into a sink. That the response body is the file is likely, not documented."""
    path = api_path("downloads", whole_number("download_id", download_id))
    return Request("GET", path, lambda response: response, sees_redirects=True, sink=sink)
