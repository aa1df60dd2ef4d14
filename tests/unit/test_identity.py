"""By what a build is found again."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mkw_airflow_provider.client.api.builds import Build
from mkw_airflow_provider.client.flows.build_marker import BuildMarker, choose
from tests.kit.simulation import PROPERTY, build

NIGHTLY = BuildMarker("nightly", "scheduled__2026-04-02T00:00:00+00:00", "start_build", -1, 1)


def marked(number: int, status: str, identity: BuildMarker = NIGHTLY) -> Build:
    return Build.from_json(build(number, status, description=identity.describe("nightly build")))


def test_the_marker_is_sixteen_hexadecimal_digits_in_brackets():
    assert re.fullmatch(r"\[airflow:[0-9a-f]{16}\]", NIGHTLY.marker)


def test_the_marker_is_the_same_in_every_process_and_version():
    assert NIGHTLY.marker == "[airflow:a8528c5c7a5e0fa8]"


@pytest.mark.parametrize(
    "other",
    [
        replace(NIGHTLY, dag_id="nightly_2"),
        replace(NIGHTLY, run_id="manual__2026-04-02T00:00:00+00:00"),
        replace(NIGHTLY, task_id="start_build_2"),
        replace(NIGHTLY, map_index=0),
        replace(NIGHTLY, map_index=1),
        replace(NIGHTLY, first_try=2),
    ],
    ids=["dag", "run", "task", "map index 0", "map index 1", "clear"],
)
def test_another_dag_run_task_map_index_or_series_has_another_marker(other):
    assert other.marker != NIGHTLY.marker


names = st.text(min_size=1, max_size=20)
identities = st.builds(BuildMarker, names, names, names, st.integers(-1, 50), st.integers(1, 50))


@PROPERTY
@given(identities, identities)
def test_different_identities_have_different_markers(one, other):
    assert (one.marker == other.marker) == (one == other)


@PROPERTY
@given(identities, st.none() | st.text())
def test_a_description_is_recognised_whatever_the_text_of_the_user(identity, text):
    described = Build.from_json(build(description=identity.describe(text)))
    assert identity.marks(described)
    assert not replace(identity, first_try=identity.first_try + 1).marks(described)


def test_the_description_reads_well_behind_the_text_of_the_user():
    assert NIGHTLY.describe("Release 7, all of the vault") == (
        "Release 7, all of the vault\n"
        "Started by Airflow: DAG nightly, task start_build, run scheduled__2026-04-02T00:00:00+00:00 "
        f"{NIGHTLY.marker}"
    )


@pytest.mark.parametrize("text", [None, ""])
def test_without_a_text_the_line_stands_alone(text):
    assert NIGHTLY.describe(text).startswith("Started by Airflow: DAG nightly, task start_build, run ")


def test_a_mapped_task_says_which_of_its_copies_it_is():
    assert ", task start_build, map index 0, run " in replace(NIGHTLY, map_index=0).describe(None)


@pytest.mark.parametrize("description", [None, "", "build via rest api", "[airflow:0123456789abcdef]"])
def test_the_build_of_somebody_else_is_not_marked(description):
    assert not NIGHTLY.marks(Build.from_json(build(description=description)))


def test_earlier_series_have_the_first_tries_before():
    assert NIGHTLY.earlier() == []
    assert [identity.first_try for identity in replace(NIGHTLY, first_try=4).earlier()] == [1, 2, 3]


@pytest.mark.parametrize(
    ("builds", "chosen"),
    [
        ([], None),
        ([(1, "FAILED")], None),
        ([(1, "CANCELED")], None),
        ([(1, "BUILDING")], 1),
        ([(1, "FINISHED")], 1),
        ([(1, "QUEUED")], 1),
        ([(1, "FAILED"), (2, "BUILDING")], 2),
        ([(2, "FAILED"), (1, "FINISHED")], 1),
        ([(1, "FINISHED"), (2, "FINISHED")], 2),
        ([(1, "BUILDING"), (2, "FINISHED")], 1),
    ],
)
def test_a_build_that_goes_on_comes_before_a_finished_one_and_the_newest_first(builds, chosen):
    found = choose(NIGHTLY, [marked(number, status) for number, status in builds])
    assert (found and found.id) == chosen


def test_builds_of_others_are_never_chosen():
    theirs = replace(NIGHTLY, first_try=2)
    assert choose(NIGHTLY, [marked(1, "BUILDING", theirs), Build.from_json(build(2, "BUILDING"))]) is None
