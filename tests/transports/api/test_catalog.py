"""``/projects`` and ``/patterns``: with and without their filter."""

from __future__ import annotations

import pytest

from mkw_airflow_provider.client.api.patterns import find_patterns
from mkw_airflow_provider.client.api.projects import Project, find_projects

PROJECTS = [(402, "DEMO_PROJECT"), (403, "SALES_DWH"), (404, "FINANCE_DWH"), (405, "HR_DWH")]


@pytest.mark.parametrize(
    ("name", "query", "found"),
    [
        (None, [], PROJECTS),
        ("SALES_DWH", [["name", "SALES_DWH"]], [(403, "SALES_DWH")]),
        ("Lager & Größe: 5 %", [["name", "Lager & Größe: 5 %"]], []),
    ],
)
def test_projects(metakraftwerk, api, name, query, found):
    projects = api.call(find_projects(name=name))
    assert projects == [Project(id=number, name=text, deleted=False, disabled=False) for number, text in found]
    request = metakraftwerk.requests("GET")[-1]
    assert (request["path"], request["query"]) == ("/api/v1/projects", query)


def test_only_visible_projects_are_listed(connect):
    viewer, outsider = connect("viewer@example.com"), connect("outsider@example.com")
    assert [project.id for project in viewer.call(find_projects())] == [402]
    assert outsider.call(find_projects()) == []


@pytest.mark.parametrize(("name", "ids"), [(None, [808, 809, 810, 811]), ("STAGE_LOAD", [810]), ("NONE", [])])
def test_patterns(metakraftwerk, api, name, ids):
    patterns = api.call(find_patterns(name=name))
    assert [pattern.id for pattern in patterns] == ids
    request = metakraftwerk.requests("GET")[-1]
    assert (request["path"], request["query"]) == ("/api/v1/patterns", [["name", name]] if name else [])


def test_pattern_has_the_documented_fields(api):
    (pattern,) = api.call(find_patterns(name="CORE_DV_HLS"))
    assert (pattern.id, pattern.name, pattern.type, pattern.vers_no) == (808, "CORE_DV_HLS", "IICS", "1.4.0")
    assert (pattern.release_group_id, pattern.deleted) == (5, False)
    assert pattern.to_dict()["status"] == pattern.status
