"""What users pass: clear errors before anything is sent."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from datetime import timedelta
from enum import Enum
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mkw_airflow_provider.client.api.builds import find_builds
from mkw_airflow_provider.client.validation import (
    at_most_one,
    choice,
    exactly_one,
    fixed_flag,
    flag,
    instance_list,
    manifest_mapping,
    name_list,
    optional_description,
    optional_flag,
    optional_number,
    optional_seconds,
    optional_text,
    positive_number,
    release_mapping,
    seconds,
    whole_number,
)
from mkw_airflow_provider.exceptions import ConfigurationError
from tests.kit.simulation import PROPERTY

AIRPLANE = {"pattern": "CORE_DV_HLS", "folder": "/BUSINESS_VAULT", "name": "AIRPLANE"}


def refused(words: str):
    return pytest.raises(ConfigurationError, match=words)


NOTHING = [None, "", " \n", "None"]


class Operator:
    """What all operators have."""

    task_id = "start"
    output = "its result"


def test_exactly_one_counts_what_is_given():
    for nothing in NOTHING:
        exactly_one(project="A", project_id=nothing)
        with refused("^exactly one of `project` or `project_id` is needed; nothing is given$"):
            exactly_one(project=nothing, project_id=None)
    with refused("^exactly one of `project` or `project_id` is needed; given are `project` and `project_id`$"):
        exactly_one(project="A", project_id=0)


def test_at_most_one_counts_what_is_given():
    at_most_one(agent="", agent_id="None")
    at_most_one(agent=None, agent_id=0)
    with refused("^`agent` and `agent_group` are mutually exclusive; give one of them$"):
        at_most_one(agent="A", agent_id=None, agent_group="G")


@pytest.mark.parametrize("value", NOTHING, ids=repr)
def test_nothing_means_not_given(value):
    checks = (optional_number, optional_text, optional_description, optional_flag, name_list, manifest_mapping)
    assert [check("x", value) for check in checks] == [None] * len(checks)
    assert release_mapping(value) is None
    assert flag("x", value, default=True) is True
    assert choice("x", value, ("a", "b"), default="b") == "b"
    for required in (whole_number, fixed_flag, seconds, partial(choice, options=("a", "b"))):
        with refused(re.escape(f", not {value!r}")):
            required("x", value)


class Index:
    """A number as NumPy has them."""

    def __repr__(self) -> str:
        return "Index()"

    def __index__(self) -> int:
        return 5139


@pytest.mark.parametrize("value", [5139, "5139", " 5139\n", "005139", Index()], ids=repr)
def test_ids_are_indices_or_digits(value):
    assert whole_number("build_id", value) == 5139
    assert type(optional_number("build_id", value)) is int


def not_an_array(_: object) -> int:
    raise TypeError("only an array of one element is an index")


AN_ARRAY = type("Array", (), {"__index__": not_an_array})()


@pytest.mark.parametrize(
    "value",
    [True, -1, "-1", "+1", "1_000", 5139.0, "5139.0", "latest", "{{ x }}", [5139], {}, b"5139", "9" * 5_000, AN_ARRAY],
    ids=lambda value: repr(value)[:10],
)
def test_other_values_are_not_ids(value):
    for check in (whole_number, optional_number):
        with refused("^`build_id` must be a number, not .{0,250}$"):
            check("build_id", value)


def test_wrong_id_names_what_to_check():
    with refused("^`build_id` must be a number, not 'x'; check the upstream task start$"):
        whole_number("build_id", "x", "check the upstream task start")


def test_task_instead_of_its_output_is_refused():
    checks = (whole_number, optional_text, optional_description, flag, seconds, name_list, manifest_mapping)
    for check in checks:
        with refused("^`x` must be .*, not the task 'start'; pass its result, with `.output`$"):
            check("x", Operator())
    with refused("not the task 'start'; pass its result"):
        instance_list(Operator())


def test_names_are_unchanged_text():
    assert optional_text("project", " with spaces ") == " with spaces "
    for value in (402, True, ["A"], b"A"):
        with refused("^`project` must be text, not "):
            optional_text("project", value)


def test_descriptions_become_text():
    assert [optional_description("x", value) for value in ("run", 5, [1])] == ["run", "5", "[1]"]


def test_flags_are_bools_or_their_words():
    words = [True, "true", "True", " TRUE ", False, "false", "False"]
    assert [flag("restore", word) for word in words] == [True] * 4 + [False] * 3
    for value in (0, 1, "yes", "1", []):
        with refused("^`restore` must be true or false, not "):
            flag("restore", value)


@pytest.mark.parametrize("value", ["False", "{{ params.wait }}", 1], ids=repr)
def test_fixed_flags_refuse_text(value):
    assert fixed_flag("reattach", False) is False
    with refused("^`reattach` must be True or False, and not a template, not "):
        fixed_flag("reattach", value)


def test_durations_are_numbers_or_timedeltas():
    assert [seconds("timeout", value) for value in (5, 0.5, timedelta(minutes=2))] == [5.0, 0.5, 120.0]
    assert optional_seconds("timeout", None) is None


@pytest.mark.parametrize(
    "value", [0, -1, math.nan, math.inf, 10**400, True, "7200", timedelta(0), timedelta.max], ids=lambda v: str(v)[:9]
)
def test_other_values_are_not_durations(value):
    for check in (seconds, optional_seconds):
        with refused("^`timeout` must be a number of seconds above 0, or a timedelta, not "):
            check("timeout", value)


def test_counts_are_positive_integers():
    assert positive_number("max_parallel", 4) == 4
    for value in (0, -1, 1.5, "4", None, True):
        with refused(f"^`max_parallel` must be a whole number of at least 1, not {value!r}$"):
            positive_number("max_parallel", value)


def test_choices_name_their_options():
    assert choice("on_clear", "rebuild", ("adopt_running", "rebuild")) == "rebuild"
    for value in ("Rebuild", 1, ["rebuild"]):
        with refused("^`on_clear` must be one of adopt_running, rebuild, not "):
            choice("on_clear", value, ("adopt_running", "rebuild"))


def test_instances_come_by_id_or_by_names():
    for value in ([AIRPLANE, {"id": 1}], (AIRPLANE, {"id": "1"}), json.dumps([AIRPLANE, {"id": "1"}])):
        assert instance_list(value) == [AIRPLANE, {"id": 1}]


AT_LEAST_ONE = "`instances` must be a list with at least one instance, not "


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, AT_LEAST_ONE + "None"),
        ([], AT_LEAST_ONE),
        ("[]", AT_LEAST_ONE),
        ({"id": 1}, AT_LEAST_ONE + "{'id': 1}; write [{'id': 1}]"),
        (7, AT_LEAST_ONE + '7; write [{"id": 7}]'),
        ("AIRPLANE", "`instances` must be JSON where it is text, not 'AIRPLANE'"),
        (str([AIRPLANE]), "this is how Python writes it: add the filter `tojson`"),
        ("[" * 100_000, "`instances` must be JSON where it is text"),
        ([{"id": 1}, 2], '`instances[1]` must be a mapping, not 2; write {"id": 2}'),
        ([{}], "`instances[0]` must have either `id`, or `pattern`, `folder` and `name`; it has nothing"),
        ([{"pattern": "A", "name": "B"}], "it has name, pattern"),
        ([AIRPLANE | {"id": 1}], "it has folder, id, name, pattern"),
        ([{1: 2}], "it has 1"),
        ([{"id": None}], "`instances[0]['id']` must be a number, not None"),
        ([AIRPLANE | {"folder": ""}], "`instances[0]['folder']` must be a non-empty text, not ''"),
        ([AIRPLANE | {"name": "None"}], "`instances[0]['name']` must be a non-empty text, not 'None'"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_first_wrong_instance_is_named(value, words):
    with refused(re.escape(words)):
        instance_list(value)


def test_releases_map_groups_to_releases():
    for value in ({"DWH_GROUP": "R1"}, '{"DWH_GROUP": "R1"}'):
        assert release_mapping(value) == {"DWH_GROUP": "R1"}
    assert release_mapping("null") is None


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (["R1"], "`releases` must be a mapping of release groups to releases, not "),
        ("R1", "`releases` must be JSON where it is text, not 'R1'"),
        ({"DWH_GROUP": None}, "`releases['DWH_GROUP']` must be a non-empty text, not None"),
        ({1: "R1"}, "`releases` must be a non-empty text, not 1"),
    ],
    ids=repr,
)
def test_wrong_releases_are_named(value, words):
    with refused(re.escape(words)):
        release_mapping(value)


def test_single_name_is_not_a_list():
    assert name_list("patterns", '["A"]') == ["A"]
    with refused(re.escape("`patterns` must be JSON where it is text, not 'A'; write [\"A\"]")):
        name_list("patterns", "A")


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
def test_checks_take_a_value_or_say_why_not(value):
    of_one = [partial(check, "x") for check in (whole_number, optional_number, optional_text, flag, seconds, name_list)]
    said = [verdict(check, value) for check in (*of_one, instance_list, release_mapping)]
    assert all(words is None or words.startswith("`") for words in said)


class Place(str, Enum):
    """As people name projects, patterns and releases in one place."""

    PROD = "production"


def test_member_of_an_enum_is_its_value():
    named = dict.fromkeys(("pattern", "folder", "name"), Place.PROD)
    for text in (
        optional_text("project", Place.PROD),
        optional_description("description", Place.PROD),
        *name_list("patterns", [Place.PROD]),
        *instance_list([named])[0].values(),
        *next(iter(release_mapping({Place.PROD: Place.PROD}).items())),
    ):
        assert f"{text}" == "production"
    assert find_builds(project=Place.PROD).query == (("project", "production"),)
