"""Lists, row by row: one bad row costs that row only."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mkw_airflow_provider.client.api.authentication import login
from mkw_airflow_provider.client.api.builds import Build, find_builds, get_build
from mkw_airflow_provider.client.request import MAX_LIST_BODY, MAX_OBJECT_BODY, Response
from mkw_airflow_provider.client.rows import ReadList
from mkw_airflow_provider.client.settings import Settings
from mkw_airflow_provider.exceptions import ProtocolError
from tests.kit.simulation import PROPERTY, build, ok


@PROPERTY
@given(
    st.lists(st.recursive(st.none() | st.integers() | st.text(), st.lists, max_leaves=5)), st.sampled_from([None, 1])
)
def test_rows_are_those_of_the_json(rows, indent):
    read = ReadList(lambda value: value)
    assert read(Response(200, {}, json.dumps(rows, indent=indent).encode())) == rows


@pytest.mark.parametrize("text", ["", "[", "[1", "[1,", "[1,]", "[,1]", "[1 2]", "[1]x", "{}", "1", "[" * 100_000])
def test_other_json_is_refused(text):
    with pytest.raises(ProtocolError, match="is not the documented array"):
        ReadList(lambda value: value)(Response(200, {}, text.encode()))


def test_unreadable_rows_cost_one_warning(world):
    world.script(ok([build(1), {"id": True, "status": "FINISHED"}, None, "x", build(2)]))
    assert [row.id for row in world.run(world.session.request(find_builds()))] == [1, 2]
    (line,) = world.logged("WARNING")
    assert line.startswith("GET /api/v1/builds: skipped 3 of 5 rows: a build came without id")


BROKEN_ROWS = {
    "cut character": b'{"id": 2, "status": "FINISHED", "description": "caf\xc3"}',
    "latin-1": b'{"id": 2, "status": "FINISHED", "description": "caf\xe9"}',
    "long number": b'{"id": 2, "status": "FINISHED", "mts": ' + b"9" * 5000 + b"}",
    "line end": b'{"id": 2, "status": "FINISHED", "message": "a\nb"}',
}


@pytest.mark.parametrize("row", BROKEN_ROWS.values(), ids=BROKEN_ROWS)
def test_broken_value_leaves_the_rest_readable(row):
    (first, second, third) = find_builds().read(Response(200, {}, b"[" + b",".join([row, row, row]) + b"]"))
    assert [first.id, second.id, third.id] == [2, 2, 2]
    assert get_build(2).read(Response(200, {}, row)).status == "FINISHED"


@pytest.mark.parametrize("row", [b'{"id": 2, "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", b'{"id": 2,, "x": "]"}'])
def test_row_that_is_not_json_is_skipped(world, row):
    rows = [json.dumps(build(number)).encode() for number in (1, 3)]
    world.script(Response(200, {}, b"[" + b" , ".join([rows[0], row, rows[1]]) + b"]"))
    assert [found.id for found in world.run(world.session.request(find_builds()))] == [1, 3]
    (line,) = world.logged("WARNING")
    assert "skipped 1 of 3 rows: a row is not the documented JSON" in line


def test_filtered_rows_are_not_kept():
    read = ReadList(Build.from_json, keep=lambda row: row.id == 2)
    assert [row.id for row in read(ok([build(1), build(2), build(3)]))] == [2]


def test_limits_differ_for_objects_and_lists():
    assert get_build(1).body_limit(200) == MAX_OBJECT_BODY == 2**20
    assert find_builds().body_limit(200) == MAX_LIST_BODY == 2**28
    assert find_builds().body_limit(500) == 2**16


@pytest.mark.parametrize("value", [True, False, -5, "-5", 1.5, None, "x", [1]])
def test_invalid_id_is_refused(value):
    assert Build.from_json(build(1, project_id=value)).project_id is None
    with pytest.raises(ProtocolError, match="came without id"):
        Build.from_json(build(value))


@pytest.mark.parametrize("value", [True, False, -5, 0, "7", 1.5, None])
def test_invalid_user_id_is_ignored(value):
    assert (
        login(Settings("https://mkw.example.com")).read(ok({"accessToken": "t", "user": {"id": value}}, 201)).user_id
        is None
    )


@pytest.mark.parametrize(
    "value", ["2026040/T081440Z", "2026-04-02/08:14:40.320Z", "2026-99-99", "2026-W99", "2026--", 5]
)
def test_malformed_timestamp_is_absent(value):
    assert Build.from_json(build(1, build_start=value)).build_start is None
