"""Which arguments are checked when a DAG is read."""

from __future__ import annotations

import pytest

from mkw_airflow_provider.client.validation import optional_text, whole_number
from mkw_airflow_provider.exceptions import ConfigurationError
from mkw_airflow_provider.operators.template_checks import check_literal, is_literal


class OutputOfATask:
    """What another task returns, of which nothing is known when a DAG is read."""

    def __repr__(self) -> str:
        return "the output of a task"


@pytest.mark.parametrize(
    "value",
    [None, 5139, 1.5, True, "", "DEMO_PROJECT", "100 %", "{", "}}", [], [{"id": 1}], ({"id": 1},), {"DWH_GROUP": "R1"}],
    ids=repr,
)
def test_constant_values_are_literals(value):
    assert is_literal(value)


@pytest.mark.parametrize(
    "value",
    [
        "{{ params.project }}",
        "a {{ ds }} b",
        "{% if x %}a{% endif %}",
        OutputOfATask(),
        ["a", "{{ ds }}"],
        [OutputOfATask()],
        [{"id": OutputOfATask()}],
        {"DWH_GROUP": "{{ params.release }}"},
        {"{{ params.group }}": "R1"},
        ({"id": "{{ x }}"},),
    ],
    ids=repr,
)
def test_templates_and_outputs_are_not_literals(value):
    assert not is_literal(value)


def test_literal_is_checked_at_parse_time():
    with pytest.raises(ConfigurationError, match="`build_id` must be a number, not 'latest'"):
        check_literal(whole_number, build_id="latest")


def test_each_value_is_checked_separately():
    with pytest.raises(ConfigurationError, match="`deployment` must be text, not 5"):
        check_literal(optional_text, pattern="{{ x }}", deployment=5, agent=None)


def test_literal_none_fails_at_parse_time():
    with pytest.raises(ConfigurationError, match="`build_id` must be a number, not None"):
        check_literal(whole_number, build_id=None)


@pytest.mark.parametrize("value", ["{{ ti.xcom_pull('start') }}", OutputOfATask(), "5139", 5139])
def test_values_known_only_at_run_time_pass(value):
    check_literal(whole_number, build_id=value)
