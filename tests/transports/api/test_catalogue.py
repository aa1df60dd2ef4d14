"""``/projects`` and ``/patterns``: with and without their filter."""

from __future__ import annotations

import pytest

from mkw_airflow_provider.client.api.patterns import Pattern, find_patterns
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
    projects = api.call(find_projects(name))
    assert projects == [Project(id=number, name=text, deleted=0, disabled=0) for number, text in found]
    request = metakraftwerk.requests("GET")[-1]
    assert (request["path"], request["query"]) == ("/api/v1/projects", query)


def test_projects_are_those_that_the_user_may_view(connect):
    viewer, outsider = connect("viewer@example.com"), connect("outsider@example.com")
    assert [project.id for project in viewer.call(find_projects())] == [402]
    assert outsider.call(find_projects()) == []


@pytest.mark.parametrize(("name", "ids"), [(None, [808, 809, 810, 811]), ("STAGE_LOAD", [810]), ("NONE", [])])
def test_patterns(metakraftwerk, api, name, ids):
    patterns = api.call(find_patterns(name))
    assert [pattern.id for pattern in patterns] == ids
    request = metakraftwerk.requests("GET")[-1]
    assert (request["path"], request["query"]) == ("/api/v1/patterns", [["name", name]] if name else [])


def test_a_pattern_keeps_the_fields_that_it_has_no_attribute_for(api):
    (pattern,) = api.call(find_patterns("CORE_DV_HLS"))
    assert pattern == Pattern(id=808, name="CORE_DV_HLS", type="IICS")
    assert (pattern.raw["vers_no"], pattern.raw["release_group_id"]) == ("1.4.0", 5)
    assert pattern.to_dict() == {"id": 808, "name": "CORE_DV_HLS", "type": "IICS"}
