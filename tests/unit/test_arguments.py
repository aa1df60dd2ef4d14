"""What users pass: clear errors before anything is sent."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mkw_airflow_provider.client.validation import (
    at_most_one,
    boolean,
    exactly_one,
    flag,
    instance_list,
    is_given,
    name_list,
    optional_flag,
    optional_number,
    optional_text,
    release_mapping,
    seconds,
    whole_number,
)
from mkw_airflow_provider.exceptions import ConfigurationError
from tests.kit.simulation import PROPERTY

AIRPLANE = {"pattern": "CORE_DV_HLS", "folder": "/BUSINESS_VAULT", "name": "AIRPLANE"}


def refused(words: str):
    return pytest.raises(ConfigurationError, match=words)


def test_exactly_one_takes_one():
    exactly_one(project="A", project_id=None)
    exactly_one(project=None, project_id=0)


def test_exactly_one_names_what_is_missing_or_too_much():
    with refused("^exactly one of `project` or `project_id` is needed; none is given$"):
        exactly_one(project=None, project_id=None)
    with refused("^exactly one of `project` or `project_id` is needed; given are `project` and `project_id`$"):
        exactly_one(project="A", project_id=1)


def test_at_most_one_takes_none_or_one():
    at_most_one(agent=None, agent_id=None)
    at_most_one(agent=None, agent_id=0)


def test_at_most_one_names_what_excludes_each_other():
    with refused("^`agent` and `agent_group` are mutually exclusive; give one of them$"):
        at_most_one(agent="A", agent_id=None, agent_group="G")


@pytest.mark.parametrize(("value", "number"), [(5139, 5139), ("5139", 5139), (" 5139\n", 5139), (0, 0), ("007", 7)])
def test_ids_are_numbers_or_text_of_digits(value, number):
    assert whole_number("build_id", value) == number
    assert optional_number("build_id", value) == number


@pytest.mark.parametrize(
    "value",
    [
        True,
        False,
        -1,
        "-1",
        "+1",
        "1_000",
        5139.0,
        "5139.0",
        "",
        " ",
        "None",
        "latest",
        "{{ x }}",
        [5139],
        {},
        b"5139",
        "9" * 5_000,
    ],
    ids=lambda value: repr(value)[:20],
)
def test_nothing_else_is_an_id(value):
    with refused("^`build_id` must be a number, not "):
        whole_number("build_id", value)
    if is_given(value):
        with refused("^`build_id` must be a number, not "):
            optional_number("build_id", value)


def test_none_is_an_id_only_where_it_is_optional():
    assert optional_number("build_id", None) is None
    with refused("^`build_id` must be a number, not None; look at the upstream task start$"):
        whole_number("build_id", None, "look at the upstream task start")


def test_a_long_value_is_not_repeated_at_length():
    with pytest.raises(ConfigurationError) as caught:
        whole_number("build_id", "x" * 10_000)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("value", [None, "DEMO_PROJECT", " with spaces "])
def test_a_name_is_taken_as_it_is(value):
    assert optional_text("project", value) == value


@pytest.mark.parametrize("value", [402, True, ["A"], b"A"])
def test_a_name_is_a_text(value):
    with refused("^`project` must be a text, not "):
        optional_text("project", value)


@pytest.mark.parametrize("value", [None, "", "  ", "\n", "None", " None "])
def test_what_renders_to_nothing_is_not_given(value):
    assert optional_text("project", value) is None
    assert optional_number("project_id", value) is None
    assert optional_flag("closed", value) is None
    assert name_list("patterns", value) is None
    assert release_mapping(value) is None
    exactly_one(project=value, project_id=1)
    with refused("none is given"):
        exactly_one(project=value)


class Index:
    """A number of another library, as numpy's are."""

    def __index__(self):
        return 5139


def test_an_id_is_whatever_python_takes_as_an_index():
    assert whole_number("build_id", Index()) == 5139
    assert instance_list([{"id": Index()}]) == [{"id": 5139}]


class Operator:
    task_id, output = "start", "its result"


@pytest.mark.parametrize(
    ("check", "cure"),
    [
        (lambda: whole_number("build_id", Operator()), r"give the operator's `\.output`"),
        (lambda: instance_list([1001]), r'write \{"id": 1001\}'),
        (lambda: instance_list("[{'id': 1001}]"), r"\| tojson"),
        (lambda: name_list("patterns", "['A']"), r"\| tojson"),
        (lambda: boolean("deferrable", "False"), "no template field"),
    ],
)
def test_a_message_names_the_cure(check, cure):
    with refused(cure):
        check()


@pytest.mark.parametrize(("value", "number"), [(1, 1.0), (0.5, 0.5), (timedelta(minutes=2), 120.0)])
def test_seconds_are_a_number_or_a_timedelta(value, number):
    assert seconds("timeout", value) == number


@pytest.mark.parametrize("value", [0, -1, True, "7200", None, float("nan"), float("inf"), timedelta(0), [1]])
def test_nothing_else_is_seconds(value):
    with refused("^`timeout` must be a number of seconds above 0, or a timedelta, not "):
        seconds("timeout", value)


@pytest.mark.parametrize(
    ("value", "meaning"),
    [(True, True), (False, False), ("true", True), ("True", True), (" FALSE ", False), ("False", False)],
)
def test_flags_are_bools_or_their_words(value, meaning):
    assert flag("restore", value) is meaning


@pytest.mark.parametrize("value", [None, 0, 1, "", "yes", "1", "None", []])
def test_nothing_else_is_a_flag(value):
    with refused("^`restore` must be true or false, not "):
        flag("restore", value)


@pytest.mark.parametrize(
    ("value", "instances"),
    [
        ([{"id": 1001}], [{"id": 1001}]),
        (({"id": "1001"},), [{"id": 1001}]),
        ([AIRPLANE, {"id": 1}], [AIRPLANE, {"id": 1}]),
        ('[{"id": "1001"}]', [{"id": 1001}]),
        (json.dumps([AIRPLANE]), [AIRPLANE]),
    ],
)
def test_instances_come_by_id_or_by_names_as_a_list_or_its_json(value, instances):
    assert instance_list(value) == instances


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "`instances` must be a list with at least one instance, not None"),
        ([], "`instances` must be a list with at least one instance"),
        ("[]", "`instances` must be a list with at least one instance"),
        ({"id": 1}, "`instances` must be a list with at least one instance"),
        (7, "`instances` must be a list with at least one instance"),
        ("AIRPLANE", "`instances` is text, but not JSON: 'AIRPLANE'"),
        ("", "`instances` must be a list with at least one instance"),
        ("[" * 100_000, "`instances` is text, but not JSON"),
        ([{"id": 1}, 2], r"`instances\[1\]` must be a mapping, not 2"),
        (b"ab", r"`instances\[0\]` must be a mapping"),
        ([{}], r"`instances\[0\]` must have either `id`, or `pattern`, `folder` and `name`; it has nothing"),
        ([{"pattern": "A", "name": "B"}], r"`instances\[0\]` must have either .* it has name, pattern"),
        ([AIRPLANE | {"id": 1}], r"it has folder, id, name, pattern"),
        ([{1: 2}], r"it has 1"),
        ([{"id": None}], r"`instances\[0\]\['id'\]` must be a number, not None"),
        ([{"id": "x"}], r"`instances\[0\]\['id'\]` must be a number, not 'x'"),
        ([AIRPLANE | {"folder": ""}], r"`instances\[0\]\['folder'\]` must be a non-empty text, not ''"),
        ([AIRPLANE | {"name": 5}], r"`instances\[0\]\['name'\]` must be a non-empty text, not 5"),
    ],
)
def test_the_first_wrong_instance_is_named(value, words):
    with refused(words):
        instance_list(value)


@pytest.mark.parametrize(
    ("value", "releases"),
    [
        (None, None),
        ({}, {}),
        ({"DWH_GROUP": "R1"}, {"DWH_GROUP": "R1"}),
        ('{"DWH_GROUP": "R1"}', {"DWH_GROUP": "R1"}),
        ("null", None),
    ],
)
def test_releases_map_groups_to_releases(value, releases):
    assert release_mapping(value) == releases


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (["R1"], "`releases` must be a mapping of release groups to releases, not "),
        ("R1", "`releases` is text, but not JSON: 'R1'"),
        ({"DWH_GROUP": None}, r"`releases\['DWH_GROUP'\]` must be a non-empty text, not None"),
        ({"DWH_GROUP": ""}, r"`releases\['DWH_GROUP'\]` must be a non-empty text, not ''"),
        ({1: "R1"}, "`releases` must be a non-empty text, not 1"),
    ],
)
def test_anything_else_is_no_releases(value, words):
    with refused(words):
        release_mapping(value)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda children: st.lists(children) | st.dictionaries(st.text() | st.integers(), children),
    max_leaves=8,
)


def verdict(check: Callable[[Any], Any], value: Any) -> str | None:
    """Return what a check says of a value; None if it takes it."""
    try:
        check(value)
    except ConfigurationError as error:
        return str(error)
    return None


@PROPERTY
@given(anything)
def test_every_check_either_takes_a_value_or_says_what_is_wrong(value):
    of_one = [partial(check, "x") for check in (whole_number, optional_number, optional_text, flag)]
    said = [verdict(check, value) for check in (*of_one, instance_list, release_mapping)]
    assert all(words is None or words.startswith("`") for words in said)
