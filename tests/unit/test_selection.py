"""Selecting instances by globs: what matches, what is left out, and what an unknown name leads to."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from mkw_airflow_provider.client.flows.select import describe_excluded, find_missing, select
from mkw_airflow_provider.client.known_secrets import remember_secrets
from mkw_airflow_provider.exceptions import ConfigurationError, SelectionError
from mkw_airflow_provider.selection import InstanceSelector
from tests.kit.simulation import World, ok

PATTERNS = [{"id": 1, "name": "CORE_DV_HLS"}, {"id": 2, "name": "CORE_DV_SAT"}, {"id": 3, "name": "STAGE"}]
FOLDERS = [
    {"id": 10, "path": "/BUSINESS_VAULT", "parent_folder_id": None, "pattern_id": 1},
    {"id": 11, "path": "/BUSINESS_VAULT/CRM", "parent_folder_id": 10, "pattern_id": 1},
    {"id": 12, "path": "/STAGING", "parent_folder_id": None, "pattern_id": 3},
    {"id": 13, "path": "/OLD", "parent_folder_id": None, "pattern_id": 1, "build_disabled": True},
    {"id": 14, "path": "/OLD/DEEP", "parent_folder_id": 13, "pattern_id": 1},
]


def instance(number: int, name: str, pattern: int = 1, folder: int | None = 10, **fields: Any) -> dict[str, Any]:
    return {"id": number, "name": name, "pattern_id": pattern, "instance_folder_id": folder, **fields}


INSTANCES = [
    instance(100, "AIRPLANE", labels=["nightly"]),
    instance(101, "AIRPORT", folder=11),
    instance(102, "airport", folder=11, labels=["nightly", "hourly"]),
    instance(103, "AIRPLANE", pattern=2),
    instance(104, "STG_AIRPLANE", pattern=3, folder=12),
    instance(105, "AT_ROOT", folder=None),
    instance(106, "GONE", deleted=True),
    instance(107, "OFF", build_disabled=1),
    instance(108, "OFF_BY_FOLDER", folder=14),
    instance(109, "BROKEN", errors=2),
    instance(110, "WRONG", invalid=True),
    instance(111, "ORPHAN", folder=99),
]
BUILDABLE = (100, 101, 102, 103, 104, 105)


def warehouse() -> World:
    """Return a world whose server has these patterns, folders and instances."""
    world = World()

    def response(request: Any) -> Any:
        url = urlsplit(request.target)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        rows: dict[str, list[dict[str, Any]]] = {
            "patterns": PATTERNS,
            "instance_folders": FOLDERS,
            "instances": INSTANCES,
        }
        found = rows[url.path.rpartition("/")[2]]
        if "pattern_id" in query:
            found = [row for row in found if row["pattern_id"] == int(query["pattern_id"])]
        return ok(found)

    world.server = response
    return world


def ids_of(**selector: Any) -> tuple[int, ...]:
    world = warehouse()
    return world.run(select(world.session, InstanceSelector(**selector), project="P")).ids


@pytest.mark.parametrize(
    ("selector", "ids"),
    [
        ({}, BUILDABLE),
        ({"pattern": "CORE_*"}, (100, 101, 102, 103, 105)),
        ({"pattern": ["CORE_DV_SAT", "STAGE"]}, (103, 104)),
        ({"folder": "/BUSINESS_VAULT"}, (100, 103)),
        ({"folder": "/BUSINESS_VAULT/*"}, (101, 102)),
        ({"folder": "/BUSINESS_VAULT/**"}, (100, 101, 102, 103)),
        ({"folder": "BUSINESS_VAULT"}, (100, 103)),
        ({"folder": "/BUSINESS_VAULT/"}, (100, 103)),
        ({"folder": "/**/CRM"}, (101, 102)),
        ({"folder": "/"}, (105,)),
        ({"name": "AIR*"}, (100, 101, 103)),
        ({"name": ["airport", "AT_?OOT"]}, (102, 105)),
        ({"label": "nightly"}, (100, 102)),
        ({"label": ["hour*", "weekly"]}, (102,)),
        ({"exclude": [{"name": "A*"}]}, (102, 104)),
        ({"include_disabled": True, "name": "OFF*"}, (107, 108)),
        ({"include_invalid": True, "name": ["BROKEN", "WRONG"]}, (109, 110)),
        ({"name": "nothing"}, ()),
    ],
)
def test_globs_select(selector: dict[str, Any], ids: tuple[int, ...]) -> None:
    assert ids_of(**selector) == ids


def test_exclusions_have_a_reason() -> None:
    world = warehouse()
    selection = world.run(select(world.session, InstanceSelector(exclude=({"pattern": "STAGE"},)), project="P"))
    assert selection.by_pattern == {"CORE_DV_HLS": 4, "CORE_DV_SAT": 1}
    assert selection.excluded_by_reason() == {
        "deleted": 1,
        "disabled": 2,
        "excluded": 1,
        "invalid": 2,
        "orphaned": 1,
    }
    assert "Left out 2 disabled instances: CORE_DV_HLS:/BUSINESS_VAULT/OFF, CORE_DV_HLS:/OLD/DEEP/OFF_BY_FOLDER." in (
        describe_excluded(selection)
    )
    assert selection.to_dict()["ids"] == [100, 101, 102, 103, 105]


@pytest.mark.parametrize(("pattern", "requests"), [("*", 1), ("CORE_*", 2), ("STAGE", 1)])
def test_one_request_per_pattern(pattern: str, requests: int) -> None:
    world = warehouse()
    world.run(select(world.session, InstanceSelector(pattern=pattern), project="P"))
    assert sum("/instances?" in sent.line for sent in world.sent) == requests


@pytest.mark.parametrize(
    ("selector", "nearest"),
    [({"pattern": "CORE_DV_HSL"}, "CORE_DV_HLS"), ({"folder": "/BUSINES_VAULT"}, "/BUSINESS_VAULT")],
)
def test_unknown_name_is_an_error(selector: dict[str, str], nearest: str) -> None:
    with pytest.raises(SelectionError, match=f"does not exist.*{nearest}"):
        ids_of(**selector)


@pytest.mark.parametrize(
    ("selector", "warnings"),
    [
        (
            {"name": ["AIRPROT", "AIR*"]},
            ["`name` names the instance 'AIRPROT', which does not exist (nearest: AIRPORT"],
        ),
        ({"exclude": [{"name": "BROKN"}]}, ["`exclude` names the instance 'BROKN', which does not exist (nearest: BR"]),
        ({"name": "OFF", "exclude": [{"name": "A*"}]}, []),
    ],
)
def test_name_without_instance_is_a_warning(selector: dict[str, Any], warnings: list[str]) -> None:
    world = warehouse()
    world.run(select(world.session, InstanceSelector(**selector), project="P"))
    logged = [line for line in world.logged() if "which does not exist" in line]
    assert len(logged) == len(warnings)
    assert all(wanted in line for wanted, line in zip(warnings, logged, strict=True))


@pytest.mark.parametrize("odd", ["\ud83d", "\nERROR forged line", "a-known-secret"])
def test_names_of_the_server_are_cleaned(monkeypatch: pytest.MonkeyPatch, odd: str) -> None:
    remember_secrets("a-known-secret")
    rows = [instance(100, f"AIR{odd}", deleted=True), instance(101, f"AIRPORT{odd}")]
    monkeypatch.setattr(f"{__name__}.INSTANCES", rows)
    monkeypatch.setattr(f"{__name__}.PATTERNS", [{"id": 1, "name": f"P{odd}"}])
    world = warehouse()
    selection = world.run(select(world.session, InstanceSelector(name=["AIRPORT", "AIR*"]), project="P"))
    missing = world.run(find_missing(world.session, [{"pattern": "P", "folder": "/A", "name": "AIR"}], project="P"))
    shown = json.dumps(selection.to_dict()) + "".join(
        map(str, [*world.logged(), *missing, *describe_excluded(selection)])
    )
    assert selection.ids == (101,)
    assert shown.isprintable()
    assert odd not in shown


def test_too_many_instances_is_an_error() -> None:
    with pytest.raises(SelectionError, match="6 instances match"):
        ids_of(max_instances=5)


def test_missing_instances_are_named() -> None:
    world = warehouse()
    wanted = [
        {"id": 100},
        {"id": 999},
        {"pattern": "CORE_DV_HLS", "folder": "/BUSINESS_VAULT", "name": "AIRPLANE"},
        {"pattern": "CORE_DV_HLS", "folder": "BUSINESS_VAULT", "name": "AIRPLANE"},
        {"pattern": "CORE_DV_HLS", "folder": "/BUSINESS_VAULT/CRM", "name": "AIRPROT"},
    ]
    missing = world.run(find_missing(world.session, wanted, project="P"))
    assert missing[0] == "id 999"
    assert missing[1].startswith("CORE_DV_HLS:BUSINESS_VAULT/AIRPLANE (nearest: CORE_DV_HLS:/BUSINESS_VAULT/AIRPLANE")
    assert "CORE_DV_HLS:/BUSINESS_VAULT/CRM/AIRPORT" in missing[2]
    assert len(missing) == 3


@pytest.mark.parametrize("name", ["AIRPLANE ", "\u00a0AIRPLANE", "AIRPLANE\n"])
def test_blank_in_a_name_is_significant(name: str) -> None:
    world = warehouse()
    wanted = [{"pattern": "CORE_DV_HLS", "folder": "/BUSINESS_VAULT", "name": name}]
    (text,) = world.run(find_missing(world.session, wanted, project="P"))
    assert text.startswith(repr(f"CORE_DV_HLS:/BUSINESS_VAULT/{name}"))
    assert "(nearest: CORE_DV_HLS:/BUSINESS_VAULT/AIRPLANE" in text


def test_nearest_names_are_searched_for_few() -> None:
    world = warehouse()
    wanted = [{"pattern": "CORE_DV_HLS", "folder": "/BUSINESS_VAULT", "name": f"AIRPLANE_{n}"} for n in range(30)]
    missing = world.run(find_missing(world.session, wanted, project="P"))
    assert ["nearest" in text for text in missing] == [True] * 20 + [False] * 10
    names = [f"AIRPLANE_{n}" for n in range(30)]
    world.run(select(world.session, InstanceSelector(name=["*", *names]), project="P"))
    assert len(world.logged("WARNING")) == 20


def test_line_about_excluded_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [instance(number, f"{number}{'X' * 3_000}", deleted=True) for number in range(100, 110)]
    monkeypatch.setattr(f"{__name__}.INSTANCES", rows)
    world = warehouse()
    (line,) = describe_excluded(world.run(select(world.session, InstanceSelector(), project="P")))
    assert len(line) < 2_100


def test_dict_form_survives_json() -> None:
    selector = InstanceSelector(
        pattern=["A", "B*"], label="x", exclude=[InstanceSelector(name="T_*")], if_empty="skip", max_instances=5
    )
    assert InstanceSelector.from_dict(json.loads(json.dumps(selector.to_dict()))) == selector


@pytest.mark.parametrize(
    "value",
    [
        {"patern": "A"},
        {"pattern": ""},
        {"pattern": []},
        {"name": 5},
        {"if_empty": "ignore"},
        {"max_instances": 0},
        {"max_instances": True},
        {"exclude": "A"},
        {"include_invalid": "yes"},
    ],
)
def test_wrong_selector_is_rejected(value: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="selector"):
        InstanceSelector.from_dict(value)


def test_folder_that_contains_itself_ends() -> None:
    world = warehouse()
    loop = [{"id": 10, "path": "/A", "parent_folder_id": 11}, {"id": 11, "path": "/A/B", "parent_folder_id": 10}]
    inner = world.server
    world.server = lambda request: ok(loop) if "instance_folders" in request.path else inner(request)
    assert 100 in world.run(select(world.session, InstanceSelector(), project="P")).ids
