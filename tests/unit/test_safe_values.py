"""What is handed to Airflow can be encoded and stored, whatever the server sent."""

from __future__ import annotations

import json
import math
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given

from mkw_airflow_provider import safe_values
from mkw_airflow_provider.client.api.builds import BuildStatus
from mkw_airflow_provider.safe_values import safe_value
from tests.unit.odd_values import ANY_JSON


@pytest.mark.parametrize(
    ("value", "safe"),
    [
        ("cut inside an emoji \ud83d", "cut inside an emoji \ufffd"),
        ("a\0b", "a\ufffdb"),
        ("\U0001f600 stays", "\U0001f600 stays"),
        (2**64 - 1, 2**64 - 1),
        (-(2**63), -(2**63)),
        (2**64, "18446744073709551616"),
        (-(2**63) - 1, "-9223372036854775809"),
        (math.nan, None),
        (-math.inf, None),
        (1.5, 1.5),
        (True, True),
        (BuildStatus.FINISHED, "FINISHED"),
        ((1, "x"), [1, "x"]),
        (datetime(2026, 1, 2, tzinfo=timezone.utc), "2026-01-02T00:00:00+00:00"),
        ({"\ud83d\0": 1, 2: 3, 2**70: 4, None: 5}, {"\ufffd\ufffd": 1, "2": 3, str(2**70): 4, "None": 5}),
        ({"__classname__": "os.system", "__version__": 1}, {"_classname_": "os.system", "_version_": 1}),
    ],
    ids=ascii,
)
def test_value_becomes_safe(value: Any, safe: Any) -> None:
    assert safe_value(value) == safe
    assert type(safe_value(value)) is type(safe)


def test_integer_too_long_for_decimal() -> None:
    assert safe_value(10**50_000).startswith("0x")


def test_deep_value_is_cut() -> None:
    deep: Any = 1
    for _ in range(5_000):
        deep = {"x": [deep]}
    assert safe_values.TOO_DEEP in json.dumps(safe_value(deep))


def test_large_value_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(safe_value("x" * 10_000_000)) == safe_values.MAX_TEXT
    monkeypatch.setattr(safe_values, "MAX_ITEMS", 10)
    assert len(safe_value([[0] * 4] * 100)) == 2
    monkeypatch.setattr(safe_values, "MAX_CHARACTERS", 10)
    assert safe_value(["12345", "12345", "12345", "no more"]) == ["12345"] * 3


def test_object_without_text() -> None:
    class Silent:
        def __str__(self) -> str:
            raise ValueError

    assert safe_value([Silent()]) == ["(Silent)"]


@given(ANY_JSON)
def test_safe_value_is_stable(value: Any) -> None:
    once = safe_value(value)
    assert safe_value(once) == once
    assert json.loads(json.dumps(once, allow_nan=False).encode()) == once
