"""``/deployments``: find the definitions that build deployments execute. Only part of the API's page is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mkw_airflow_provider.client.model import Record
from mkw_airflow_provider.client.request import Request, api_path, query
from mkw_airflow_provider.client.rows import read_list
from mkw_airflow_provider.client.validation import at_most_one, optional_number, optional_text


@dataclass(frozen=True)
class Deployment(Record):
    """The definition of a deployment inside a pattern, with the documented fields. Its type is not among them."""

    noun: ClassVar[str] = "deployment"

    pattern_id: int | None = None
    name: str | None = None


def find_deployments(
    *, pattern: str | None = None, pattern_id: int | None = None, name: str | None = None
) -> Request[list[Deployment]]:
    """List deployment definitions (``GET /deployments``). All filters are optional (documented).

    :param pattern: name of the pattern; mutually exclusive with ``pattern_id``.
    :raises ConfigurationError: if both ``pattern`` and ``pattern_id`` are given.
    """
    at_most_one(pattern=pattern, pattern_id=pattern_id)
    filters = query(
        pattern=optional_text("pattern", pattern),
        pattern_id=optional_number("pattern_id", pattern_id),
        name=optional_text("name", name),
    )
    return Request("GET", api_path("deployments"), read_list(Deployment.from_json), filters)
