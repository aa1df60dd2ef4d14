"""Undocumented forms of responses are accepted, and an invalid response is an error."""

from __future__ import annotations

import json

import pendulum
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mkw_airflow_provider.client import model
from mkw_airflow_provider.client.api.build_deployments import create_build_deployment, get_build_deployment
from mkw_airflow_provider.client.api.builds import Build, BuildStatus, create_build, find_builds, get_build
from mkw_airflow_provider.client.api.downloads import Download
from mkw_airflow_provider.client.api.projects import find_projects
from mkw_airflow_provider.exceptions import ProtocolError

FLAGS = ("history_commited", "active", "deliveries_calculated", "commit_ind", "deleted")


@pytest.fixture
def finished(metakraftwerk):
    metakraftwerk.set(build_seconds=0)
    metakraftwerk.start_build()


@pytest.fixture
def respond(metakraftwerk, api):
    """Return what a request makes of a response body."""

    def read(call, body, status=200):
        metakraftwerk.fault("status", path="/api/*", status=status, body=body)
        return api.call(call)

    return read


def test_long_texts_are_not_timestamps():
    before = model._parsed.cache_info().currsize
    assert Build.from_json({"id": 1, "status": "BUILDING", "build_start": f"2026-01-01{' ' * 100}"}).build_start is None
    assert model._parsed.cache_info().currsize == before


@pytest.mark.parametrize("flags", ["documented", "integer", "boolean"])
def test_flags_become_numbers(metakraftwerk, api, finished, flags):
    metakraftwerk.set(flags=flags)
    build = api.call(get_build(5139))
    assert [getattr(build, name) for name in FLAGS] == [1, 1, 1, 0, 0]
    assert [type(getattr(build, name)) for name in FLAGS] == [int] * 5
    (project, *_) = api.call(find_projects())
    assert (project.deleted, project.disabled) == (False, False)


def test_null_and_missing_fields_are_equal(metakraftwerk, api, finished):
    with_nulls = api.call(get_build(5139))
    metakraftwerk.set(nulls="missing")
    without = api.call(get_build(5139))
    assert "name" in with_nulls.raw
    assert "name" not in without.raw
    assert with_nulls == without
    assert without.name is None
    assert without.downloads[0].file_id is None


def test_progress_may_be_missing(metakraftwerk, api, finished):
    metakraftwerk.set(progress="absent")
    assert api.call(get_build(5139)).progress is None


@pytest.mark.parametrize("status", [200, 201, 202, 203, 207, 226])
def test_any_2xx_is_success(respond, status):
    assert respond(get_build(1), {"id": 1, "status": "BUILDING"}, status).id == 1
    body = {"build": {"id": 2, "status": "BUILDING"}, "warnings": []}
    assert respond(create_build(project_id=402, instances=[{"id": 1}]), body, status).build.id == 2
    deploy = create_build_deployment(build_id=1, pattern_id=1, deployment_id=1)
    assert respond(deploy, {"id": 3}, status).id == 3


@pytest.mark.parametrize("status", [200, 201])
def test_either_status_of_a_successful_post(metakraftwerk, api, status):
    metakraftwerk.set(create_status=status)
    assert api.call(create_build(project_id=402, instances=[{"id": 1001}])).build.id == 5139


def test_create_may_return_the_complete_build(metakraftwerk, api):
    metakraftwerk.set(full_create_response=True)
    build = api.call(create_build(project_id=402, instances=[{"id": 1001}], description="whole")).build
    assert (build.project_id, build.description, build.patterns) == (402, "whole", (808,))


@pytest.mark.parametrize("warnings", [{}, {"warnings": None}, {"warnings": "oh"}, {"warnings": []}])
def test_warnings_may_be_missing(respond, warnings):
    created = respond(create_build(project_id=1, instances=[{"id": 1}]), {"build": {"id": 1, "status": "X"}} | warnings)
    assert created.warnings == []


def test_build_needs_only_id_and_status(respond):
    assert respond(get_build(7), {"id": 7, "status": "FINISHED"}) == Build(id=7, status=BuildStatus.FINISHED)


def test_unknown_fields_are_kept(respond):
    body = {"id": 7, "status": "FINISHED", "cost": 1.5, "owner": {"team": "DWH"}, "downloads": [{"id": 1, "size": 9}]}
    build = respond(get_build(7), body)
    assert build.raw == body
    assert build.downloads[0].raw == {"id": 1, "size": 9}
    shown = build.to_dict()
    assert not {"cost", "owner"} & set(shown)
    assert json.loads(json.dumps(shown)) == shown


def test_unknown_status_is_not_an_end(respond):
    build = respond(get_build(7), {"id": 7, "status": "PAUSED"})
    assert (build.status, build.has_ended) == ("PAUSED", False)
    with pytest.raises(ProtocolError, match="build 7 is PAUSED, which is not the end of a build"):
        build.require_finished()


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-04-02T08:14:40.320Z", pendulum.datetime(2026, 4, 2, 8, 14, 40, 320000)),
        ("2026-04-02T08:14:40Z", pendulum.datetime(2026, 4, 2, 8, 14, 40)),
        ("2026-04-02T10:14:40+02:00", pendulum.datetime(2026, 4, 2, 8, 14, 40)),
        ("2026-04-02 08:14:40", pendulum.datetime(2026, 4, 2, 8, 14, 40)),
        ("2026-04-02", pendulum.datetime(2026, 4, 2)),
        ("", None),
        ("yesterday", None),
        ("now", None),
        ("10:14", None),
        ("P1D", None),
        ("2026-04-01/2026-04-02", None),
        ("2026-13-45T99:00:00Z", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("9999-12-31T23:59:59-12:00", None),
        (1775124880390, None),
        (True, None),
        (["2026-04-02"], None),
    ],
)
def test_odd_timestamps_are_parsed_or_ignored(respond, text, moment):
    build = respond(get_build(7), {"id": 7, "status": "BUILDING", "build_start": text})
    assert build.build_start == moment
    assert build.raw["build_start"] == text


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (42, 42),
        (42.0, 42),
        ("42", 42),
        (" 42 ", 42),
        ("-1", -1),
        (42.5, None),
        ("", None),
        ("-", None),
        ("--1", None),
        ("many", None),
        pytest.param("9" * 5000, None, id="5000 digits"),
        ([42], None),
        ({"value": 42}, None),
    ],
)
def test_odd_numbers_are_parsed_or_ignored(respond, value, number):
    build = respond(get_build(7), {"id": 7, "status": "BUILDING", "progress": value})
    assert build.progress == number


@pytest.mark.parametrize(
    ("value", "numbers"), [([1, "2", 3.0], (1, 2, 3)), ([1, None, "x"], (1,)), (None, ()), ("808", ()), ({"1": 2}, ())]
)
def test_odd_lists_of_numbers_are_filtered(respond, value, numbers):
    assert respond(get_build(7), {"id": 7, "status": "BUILDING", "patterns": value}).patterns == numbers


@pytest.mark.parametrize(
    ("call", "body", "words"),
    [
        (find_builds(), {"data": []}, "not the documented array"),
        (find_builds(), None, "not the documented array"),
        (get_build_deployment(1), "7", "a build deployment must be a JSON object"),
        (get_build(1), [], "a build must be a JSON object"),
        (get_build(1), {"id": 1, "status": ""}, "a build came without status"),
        (get_build(1), {"id": None, "status": "FINISHED"}, "a build came without id"),
        (get_build(1), {"id": 2, "status": "FINISHED"}, "build 1 was asked for, build 2 came"),
        (get_build(1), '{"id": 1', "not the documented JSON"),
        (get_build(1), "\ufeff", "not the documented JSON"),
    ],
)
def test_invalid_response_is_an_error(metakraftwerk, api, call, body, words):
    if body is None:
        metakraftwerk.fault("status", path="/api/*", status=204, times=None)
    else:
        metakraftwerk.fault("status", path="/api/*", status=200, body=body, times=None)
    with pytest.raises(ProtocolError, match=words):
        api.call(call)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("9" * 5000),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
timestamps = st.one_of(
    st.datetimes(timezones=st.timezones()).map(lambda moment: moment.isoformat()),
    st.from_regex(r"[0-9]{1,4}-?[0-9W]{0,3}-?[0-9]{0,2}([T ][0-9:.]{0,9}([+-][0-9:]{2,5}|Z)?)?", fullmatch=True),
    st.sampled_from(["P1Y", "2026-W14", "2026-100", "24:00", "R5/2026-01-01/P1D", "0000-00-00T00:00:00Z"]),
    anything,
)


@settings(max_examples=150, deadline=None)
@given(
    st.fixed_dictionaries(
        {"id": st.integers() | anything, "status": st.sampled_from(BuildStatus) | anything},
        optional={
            "build_start": timestamps,
            "progress": anything,
            "patterns": anything,
            "downloads": st.lists(st.fixed_dictionaries({"id": st.integers()}, optional={"name": anything})) | anything,
            "description": anything,
        },
    )
)
def test_any_json_is_a_build_or_protocol_error(value):
    try:
        build = Build.from_json(value)
    except ProtocolError:
        return
    assert isinstance(build.id, int)
    assert isinstance(build.status, str)
    assert build.raw == value or value != value  # not a number is unlike itself
    assert all(isinstance(download, Download) for download in build.downloads)
    assert Build.from_json(build.to_dict()) == build
