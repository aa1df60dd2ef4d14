"""Which builds of a list are new: each finished one once, in whatever order they end and are listed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mkw_airflow_provider.client.api.builds import Build, BuildHead
from mkw_airflow_provider.client.flows import Offload
from mkw_airflow_provider.client.flows.finished_builds import (
    MOST_IDS,
    BuildList,
    Watermark,
    find_pattern_id,
    has_pattern,
    list_builds,
)
from mkw_airflow_provider.exceptions import ConfigurationError
from mkw_airflow_provider.safe_values import safe_value
from tests.kit.driver import drive
from tests.kit.simulation import PROPERTY, World, build, ok
from tests.kit.tasks import as_stored

ENDED = "2026-04-02T08:14:58.898Z"
LONG_AGO = "2026-04-02T02:00:00.000Z"


def listed(**statuses: str) -> BuildList:
    """Return a list of builds: ``b5="FINISHED"``."""
    return of([build(int(name[1:]), status) for name, status in statuses.items()])


def of(builds: list[dict[str, Any]], server_time: float | None = None) -> BuildList:
    return BuildList("DEMO", map(BuildHead, builds), server_time)


def ids(watermark: Watermark, builds: BuildList) -> list[int]:
    return [head.id for head in watermark.take(builds)]


def stored(watermark: Watermark) -> Watermark:
    """Return a watermark as another process reads it."""
    again = Watermark.from_dict(json.loads(json.dumps(watermark.to_dict())))
    assert again is not None
    return again


class TestWatermark:
    def test_older_builds_are_not_new(self) -> None:
        builds = listed(b1="FINISHED", b2="FAILED", b3="CANCELED")
        assert ids(Watermark.begin(builds), builds) == []

    def test_build_that_ran_at_the_start_is_new(self) -> None:
        watermark = Watermark.begin(listed(b1="BUILDING", b2="FINISHED"))
        assert ids(watermark, listed(b1="FINISHED", b2="FINISHED")) == [1]

    def test_build_is_new_once(self) -> None:
        watermark = Watermark.begin(listed())
        builds = listed(b1="FINISHED", b2="FINISHED")
        assert (ids(watermark, builds), ids(watermark, builds)) == ([1, 2], [])

    @pytest.mark.parametrize("status", ["FAILED", "CANCELED", "BUILDING", "PAUSED"])
    def test_only_finished_builds_are_new(self, status: str) -> None:
        assert ids(Watermark.begin(listed()), listed(b1=status)) == []

    def test_lower_id_may_end_later(self) -> None:
        watermark = Watermark.begin(listed())
        assert ids(watermark, listed(b1="BUILDING", b2="FINISHED")) == [2]
        assert ids(watermark, listed(b1="FINISHED", b2="FINISHED")) == [1]

    def test_lower_id_may_be_listed_later(self) -> None:
        watermark = Watermark.begin(listed(b1="FINISHED"))
        assert ids(watermark, listed(b1="FINISHED", b3="FINISHED")) == [3]
        assert ids(watermark, listed(b1="FINISHED", b2="FINISHED", b3="FINISHED")) == [2]

    def test_build_missing_from_one_list_is_new_once(self) -> None:
        watermark = Watermark.begin(listed())
        both = listed(b1="FINISHED", b2="FINISHED")
        assert [ids(watermark, builds) for builds in (both, listed(b2="FINISHED"), both)] == [[1, 2], [], []]

    def test_build_that_ended_between_watchers_is_new(self) -> None:
        watermark = stored(Watermark.begin(listed(b1="FINISHED", b2="BUILDING")))
        assert ids(watermark, listed(b1="FINISHED", b2="FINISHED", b3="FINISHED")) == [2, 3]

    def test_builds_missing_from_an_old_list_are_old(self) -> None:
        old = [build(number, "FINISHED", build_end=LONG_AGO) for number in range(1, 100)]
        newest = build(100, "FINISHED", build_end=ENDED)
        watermark = Watermark.begin(of([newest]))
        assert ids(watermark, of([*old, newest, build(101, "FINISHED", build_end=ENDED)])) == [101]

    def test_old_builds_after_an_empty_list_are_old(self) -> None:
        old = [build(number, "FINISHED", build_end=LONG_AGO) for number in range(1, 100)]
        watermark = Watermark.begin(of([], server_time=1_775_117_698.0))
        assert ids(watermark, of([*old, build(100, "FINISHED", build_end=ENDED)])) == [100]

    def test_long_build_is_new_however_late_it_ends(self) -> None:
        watermark = Watermark.begin(listed(b1="BUILDING"))
        for first in range(2, 5 * MOST_IDS, MOST_IDS):
            finished = {f"b{number}": "FINISHED" for number in range(first, first + MOST_IDS)}
            watermark.take(listed(b1="BUILDING", **finished))
        assert watermark.floor > 1
        assert ids(stored(watermark), listed(b1="FINISHED")) == [1]

    def test_stays_below_the_limit_of_airflows_store(self) -> None:
        digits = 10**17
        builds = [build(digits + number, "FINISHED" if number % 2 else "BUILDING") for number in range(10_000)]
        watermark = Watermark.begin(of(builds))
        watermark.take(of(builds))
        assert len(json.dumps(watermark.to_dict())) < 65_535

    @pytest.mark.parametrize(
        "value",
        [
            *(None, "x", [], {}, {"source": "x"}),
            {"source": "x", "floor": 0, "ended": None, "running": []},
            {"source": "x", "floor": None, "ended": [], "running": []},
        ],
    )
    def test_other_data_is_no_watermark(self, value: Any) -> None:
        assert Watermark.from_dict(value) is None

    @pytest.mark.parametrize(
        "odd",
        [
            {"floor": 0.0},
            {"floor": None},
            {"floor": "0"},
            {"ended": [1, 2, None, True, "x", [3]]},
            {"ended": ["1", 2.0]},
            {"running": None},
            {"running": ["x"]},
            {"newest_end": "x"},
            {"newest_end": 10**400},
            {"newest_end": float("nan")},
            {"more": 1},
        ],
        ids=str,
    )
    def test_slightly_wrong_one_is_used(self, odd: dict[str, Any]) -> None:
        value = {"source": "x", "floor": 0, "ended": [1, 2], "running": [], "newest_end": 1e9, **odd}
        watermark = Watermark.from_dict(value)
        assert watermark is not None
        assert ids(watermark, listed(b1="FINISHED", b2="FINISHED", b3="FINISHED")) == [3]

    def test_newest_end_may_be_an_integer(self) -> None:
        watermark = Watermark.from_dict(
            {"source": "x", "floor": 0, "ended": [9], "running": [], "newest_end": 1_775_117_698}
        )
        assert watermark is not None
        assert ids(watermark, of([build(1, "FINISHED", build_end=LONG_AGO)])) == []

    def test_end_in_the_future_hides_no_later_build(self) -> None:
        """Neither its own poll nor a watermark that an earlier version stored after one."""
        now = 1_775_117_698.0
        odd = build(1, "FINISHED", build_end="9999-01-01T00:00:00Z")
        watermark = Watermark.begin(of([odd], now))
        assert watermark.newest_end == now
        watermark.newest_end = 253_370_764_800.0
        usual = [build(number, "FINISHED", build_end=ENDED) for number in (2, 3)]
        assert ids(watermark, of([odd, usual[0]], now)) == [2]
        assert ids(stored(watermark), of([odd, *usual], now)) == [3]

    def test_id_beyond_64_bits_is_stored(self) -> None:
        watermark = Watermark.begin(listed(**{f"b{2**70}": "FINISHED", "b1": "FINISHED"}))
        again = Watermark.from_dict(json.loads(as_stored(safe_value(watermark.to_dict()))))
        assert again is not None
        assert ids(again, listed(**{f"b{2**70}": "FINISHED", "b2": "FINISHED"})) == [2]

    @PROPERTY
    @given(st.data())
    def test_each_finished_build_is_new_once(self, data: st.DataObject) -> None:
        """Builds are listed late, end in any order, and the watermark is stored and read in between."""
        shown: dict[int, str] = {}
        watermark, seen = Watermark.begin(of([])), []
        hidden = list(range(1, 30))
        for _ in range(10):
            for number in data.draw(st.lists(st.sampled_from(hidden), unique=True)) if hidden else ():
                hidden.remove(number)
                shown[number] = "BUILDING"
            running = sorted(number for number, status in shown.items() if status == "BUILDING")
            for number in data.draw(st.lists(st.sampled_from(running), unique=True)) if running else ():
                shown[number] = data.draw(st.sampled_from(["FINISHED", "FAILED"]))
            seen += ids(watermark, of([build(number, status) for number, status in shown.items()]))
            watermark = stored(watermark) if data.draw(st.booleans()) else watermark
        assert sorted(seen) == sorted(number for number, status in shown.items() if status == "FINISHED")


class TestReading:
    def test_one_request_lists_the_builds(self, world: World) -> None:
        world.script(ok([build(7, "FINISHED", name="x"), build(5)]))
        builds = world.run(list_builds(world.session, project="DEMO", project_id=None, user="me"))
        assert world.requested == ["GET /builds?project=DEMO&user=me"]
        assert builds.ids == [5, 7]
        assert builds.heads[7].build == Build.from_json(build(7, "FINISHED", name="x"))

    @pytest.mark.parametrize("date", [{}, {"date": "Thu, 02 Apr 2026 08:00:00 GMT"}], ids=str)
    def test_no_build_ends_after_the_present(self, world: World, date: dict[str, str]) -> None:
        """By the server's clock, else by this machine's."""
        world.script(ok([build(7, "FINISHED", build_end="9999-01-01T00:00:00Z")], **date))
        builds = world.run(list_builds(world.session, project="DEMO", project_id=None, user=None))
        assert builds.newest_end == pytest.approx(1_775_116_800.0 if date else world.clock.wall(), abs=2)

    def test_unknown_clock_is_no_end(self, world: World) -> None:
        world.script(ok([]))
        builds = world.run(list_builds(world.session, project="DEMO", project_id=None, user=None))
        assert builds.newest_end is None

    def test_long_lists_are_read_off_the_event_loop(self, world: World) -> None:
        world.script(ok([build()]))
        offloaded = []

        def do(step: Any) -> Any:
            if isinstance(step, Offload):
                offloaded.append(step)
            return world.do(step)

        drive(list_builds(world.session, project="DEMO", project_id=None, user=None), do)
        assert len(offloaded) == 2

    def test_row_that_cannot_be_read_is_skipped(self, world: World) -> None:
        world.script(ok([build(7), {"id": "x"}, None, build(8, None)]))
        assert world.run(list_builds(world.session, project="DEMO", project_id=None, user=None)).ids == [7]


class TestPattern:
    def test_pattern_id_is_found_by_name(self, world: World) -> None:
        world.script(ok([{"id": 3, "name": "SOMETHING"}, {"id": 4, "name": "CORE"}]))
        assert world.run(find_pattern_id(world.session, "CORE")) == 4

    def test_unknown_pattern_is_an_error(self, world: World) -> None:
        world.script(ok([]))
        with pytest.raises(ConfigurationError, match="no pattern 'CORE'"):
            world.run(find_pattern_id(world.session, "CORE"))

    @pytest.mark.parametrize(
        ("fields", "expected"),
        [({"patterns": [3]}, True), ({"patterns": [4]}, False), ({"patterns": []}, False), ({}, True)],
    )
    def test_build_without_patterns_counts(self, fields: dict[str, Any], expected: bool) -> None:
        assert has_pattern(Build.from_json(build(**fields)), 3) is expected
