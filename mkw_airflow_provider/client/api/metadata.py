"""``POST /metadata``: SQL on a project's metadata. Only the beginning of the API's page on it is known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from mkw_airflow_provider.client.request import Request, Response, api_path, read_one
from mkw_airflow_provider.client.text import foreign_text, quote_value
from mkw_airflow_provider.client.validation import (
    exactly_one,
    optional_number,
    optional_text,
    whole_number,
)
from mkw_airflow_provider.exceptions import ConfigurationError, ProtocolError, QueryError


@dataclass(frozen=True)
class QueryResult:
    """The result of one statement.

    :param rows: one mapping per row, as received.
    :param columns: names of the columns; empty if the server does not list them.
    :param status: ``FINISHED``, or what the server sent; empty if it sent none.
    """

    rows: list[Mapping[str, Any]]
    columns: list[str]
    status: str


@dataclass(frozen=True)
class Delivery:
    """What a build changed in one instance, compared with the previous build.

    :param mode: ``CREATION`` or ``INST_DELTA``.
    :param added: number of added rows, as are ``changed`` and ``deleted``; None if the view does not say.
    """

    pattern: str | None
    folder: str | None
    instance: str | None
    mode: str | None
    added: int | None
    changed: int | None
    deleted: int | None


def query_metadata(
    statement: str, *, project: str | None = None, project_id: int | None = None
) -> Request[QueryResult]:
    """Run one SQL statement on a project's metadata (``POST /metadata``). A statement may change data: it is sent once.

    :param statement: one SQL statement, such as ``SELECT * FROM @INFORMATION_SCHEMA.INSTANCES``.
    :param project: name of the project; exactly one of it and ``project_id`` (documented).
    :raises ConfigurationError: if the statement is empty or the project is missing.
    :raises QueryError: if the server reports the status ``ERROR``.
    """
    exactly_one(project=project, project_id=project_id)
    if optional_text("statement", statement) is None:
        raise ConfigurationError("`statement` is missing")
    body = {
        "project": optional_text("project", project),
        "project_id": optional_number("project_id", project_id),
        "statement": statement,
    }
    sent = {name: value for name, value in body.items() if value is not None}
    return Request("POST", api_path("metadata"), read_one(_read_result), body=sent, returns_list=True)


def find_deliveries(
    build_id: int, *, project: str | None = None, project_id: int | None = None
) -> Request[list[Delivery]]:
    """List what a build changed, by ``@INFORMATION_SCHEMA.DELIVERIES``. It only reads, so it may be sent again.

    :param build_id: id of the build.
    :param project: name of the build's project; exactly one of it and ``project_id``.
    :raises QueryError: if the server reports the status ``ERROR``.
    """
    number = whole_number("build_id", build_id)
    statement = f"SELECT * FROM @INFORMATION_SCHEMA.DELIVERIES WHERE BUILD_ID = {number}"  # noqa: S608  # a number
    request = query_metadata(statement, project=project, project_id=project_id)

    def read(response: Response) -> list[Delivery]:
        return [_read_delivery(row) for row in request.read(response).rows]

    return replace(request, read=read, retryable=True)  # type: ignore[arg-type,return-value]  # another type to read


def count_changed(deliveries: Iterable[Delivery]) -> int | None:
    """Return how many instances a build changed; None if the view does not say it of each row."""
    changed = 0
    for delivery in deliveries:
        counts = (delivery.added, delivery.changed, delivery.deleted)
        if counts == (None, None, None):
            return None
        changed += any(counts)
    return changed


def _read_result(value: Any) -> QueryResult:
    # Whether the response to one statement is an object or a list with one object is not documented.
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, Mapping):
        raise ProtocolError(f"the response to POST /metadata is not the documented object: {quote_value(value)}")
    status = value.get("status") if isinstance(value.get("status"), str) else ""
    if str(status).upper() == "ERROR":
        # The name of the field with the reason is not documented.
        reasons = [value[key] for key in ("message", "error") if isinstance(value.get(key), str)]
        raise QueryError(
            f"the statement failed: {foreign_text(reasons[0]) if reasons else 'the server gave no reason'}"
        )
    rows = value.get("rows")
    columns = value.get("metadata")
    return QueryResult(
        rows=[row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else [],
        columns=[
            str(column["name"])
            for column in (columns if isinstance(columns, list) else [])
            if isinstance(column, Mapping) and "name" in column
        ],
        status=str(status),
    )


def _read_delivery(row: Mapping[str, Any]) -> Delivery:
    cells = {str(name).upper(): value for name, value in row.items()}

    def text(name: str) -> str | None:
        return cells[name] if isinstance(cells.get(name), str) else None

    def count(name: str) -> int | None:
        value = cells.get(name)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    return Delivery(
        pattern=text("PATTERN"),
        folder=text("FOLDER"),
        instance=text("INSTANCE"),
        mode=text("MODE"),
        added=count("ADDED"),
        changed=count("CHANGED"),
        deleted=count("DELETED"),
    )
