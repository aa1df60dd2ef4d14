"""The marker in a build's description, and which of the marked builds a retry considers."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mkw_airflow_provider.client.api.builds import Build
from mkw_airflow_provider.client.flows.build_marker import BuildMarker, MarkedBuild, pick_reusable, task_key
from tests.kit.simulation import PROPERTY, build

TASK = task_key("nightly", "scheduled__2026-04-02T00:00:00+00:00", "start_build", -1)
MARKER = BuildMarker(TASK, 3, "0a1b2c3d")
ORIGIN = "Started by Airflow: DAG nightly, task start_build, run scheduled__2026-04-02T00:00:00+00:00"


def test_marker_is_the_same_in_every_version():
    assert str(MARKER) == "[airflow:12f45b9d4a232d37-3-0a1b2c3d]"


def test_each_post_has_its_own_nonce():
    markers = {str(BuildMarker.new(TASK, 3)) for _ in range(100)}
    assert len(markers) == 100
    assert all(re.fullmatch(rf"\[airflow:{TASK}-3-[0-9a-f]{{8}}\]", marker) for marker in markers)


names = st.text(min_size=1, max_size=20)
instances = st.tuples(names, names, names, st.integers(-1, 50))


@PROPERTY
@given(instances, instances)
def test_task_instances_have_different_keys(one, other):
    assert (task_key(*one) == task_key(*other)) == (one == other)


@PROPERTY
@given(st.none() | st.text(), st.integers(0, 400), st.integers(0, 10_000))
def test_cut_or_changed_description_keeps_marker(text, cut, max_tries):
    """Whatever the user writes, and however many characters beyond the marker the server keeps."""
    marker = BuildMarker.new(TASK, max_tries)
    description = marker.describe(text, ORIGIN)
    assert BuildMarker.find(description[: len(str(marker)) + cut]) == marker
    assert BuildMarker.find(f"  API: {description}") == marker
    assert (text or "") in description


@pytest.mark.parametrize(
    ("text", "description"),
    [
        (None, f"{MARKER} {ORIGIN}"),
        ("", f"{MARKER} {ORIGIN}"),
        ("Release 7, all of the vault", f"{MARKER} Release 7, all of the vault\n{ORIGIN}"),
        ("x" * 125, f"{MARKER} {'x' * 125}\n{ORIGIN}"),
        ("x" * 126, f"{MARKER} {'x' * 126}"),
        ("x" * 5_000, f"{MARKER} {'x' * 5_000}"),
    ],
    ids=["no text", "empty", "short", "255 in all", "256 in all", "long"],
)
def test_readable_line_is_dropped_above_255(text, description):
    assert MARKER.describe(text, ORIGIN) == description


def test_long_names_do_not_change_the_marker():
    assert MARKER.describe(None, ORIGIN * 3) == str(MARKER)


@pytest.mark.parametrize(
    "text",
    [None, "", "nightly", "[airflow:0123456789abcdef]", "[airflow:0123456789abcdef-x-01234567]", ["a"], {}, 5, True],
)
def test_other_descriptions_have_no_marker(text):
    assert BuildMarker.find(text) is None


def marked(number: int, status: str, max_tries: int = 3, is_of_this_run: bool | None = True) -> MarkedBuild:
    return MarkedBuild(Build.from_json(build(number, status)), BuildMarker.new(TASK, max_tries), is_of_this_run)


@pytest.mark.parametrize(
    ("builds", "picked"),
    [
        ([], None),
        ([marked(1, "FAILED"), marked(2, "CANCELED")], None),
        ([marked(1, "BUILDING")], 1),
        ([marked(1, "FINISHED")], 1),
        ([marked(1, "QUEUED")], 1),
        ([marked(1, "FAILED"), marked(2, "BUILDING")], 2),
        ([marked(2, "FAILED"), marked(1, "FINISHED")], 1),
        ([marked(1, "FINISHED"), marked(2, "FINISHED")], 2),
        ([marked(1, "BUILDING"), marked(2, "FINISHED")], 1),
        ([marked(1, "FINISHED", is_of_this_run=False)], None),
        ([marked(1, "FINISHED", is_of_this_run=None)], 1),
        ([marked(1, "BUILDING", is_of_this_run=False)], 1),
        ([marked(1, "FINISHED", max_tries=5)], None),
        ([marked(1, "BUILDING", max_tries=5)], 1),
        ([marked(1, "FINISHED"), marked(2, "BUILDING", max_tries=5)], 1),
        ([marked(1, "FAILED"), marked(2, "BUILDING", max_tries=5)], 2),
    ],
)
def test_retry_prefers_running_and_own_builds(builds, picked):
    found = pick_reusable(builds, max_tries=3)
    assert (found and found.build.id) == picked
