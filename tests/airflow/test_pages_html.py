"""What the pages show: escaped, with no builds and with thousands, and who has started a build."""

from __future__ import annotations

from typing import Any

import pytest

from mkw_airflow_provider.version_compat import AIRFLOW_V_3_1_PLUS

if not AIRFLOW_V_3_1_PLUS:
    pytest.skip("Airflow before 3.1 has no place for the pages", allow_module_level=True)

from mkw_airflow_provider.client.api.builds import Build
from mkw_airflow_provider.client.api.projects import Project
from mkw_airflow_provider.client.flows.build_marker import BuildMarker, task_key
from mkw_airflow_provider.client.settings import Settings
from mkw_airflow_provider.plugin import owners as owners_module
from mkw_airflow_provider.plugin.airflow_models import TaskKey
from mkw_airflow_provider.plugin.feed import Entry
from mkw_airflow_provider.plugin.history import usual_duration
from mkw_airflow_provider.plugin.owners import Owners, task_page
from mkw_airflow_provider.plugin.page import PAGE_SIZE, Filters, page_data
from mkw_airflow_provider.plugin.tab import TabData
from mkw_airflow_provider.plugin.templates import render

EVIL = "<script>alert(1)</script>"
TASK = TaskKey("nightly", "scheduled__2026-11-22T02:00:00+00:00", "start_build")
PROJECT = Project.from_json({"id": 402, "name": "DWH"})


def _build(number: int, **fields: Any) -> Build:
    return Build.from_json(
        {
            "id": number,
            "status": "FINISHED",
            "project_id": 402,
            "build_start": "2026-11-22T02:00:00Z",
            "build_end": "2026-11-22T02:01:00Z",
            "user_id": 7,
            **fields,
        }
    )


class FakeFeed:
    """A feed whose builds are given."""

    settings = Settings("https://mkw.example.com", project="DWH", build_link="https://mkw.example.com/b/{build_id}")

    def __init__(self, builds: list[Build] | None, problem: str = "") -> None:
        self._values: dict[str, Entry] = {
            "projects": Entry([PROJECT]),
            "builds": Entry(builds, problem),
        }

    def read(self, *wanted: Any) -> list[Entry]:
        return [self._values[resource.key[0]] for resource in wanted]


@pytest.fixture
def owners(monkeypatch: pytest.MonkeyPatch) -> Owners:
    monkeypatch.setattr(owners_module, "_starting_tasks", lambda: {task_key(*TASK): TASK})
    return Owners("/af", {"nightly"})


def _page(feed: Any, owners: Owners, **filters: Any) -> str:
    chosen = Filters(**{"project": None, "status": "", "owner": "", "page": 1, **filters})
    values = {"root": "/af/metakraftwerk", "connections": ["c"], "connection": "c"}
    return render("builds.html", data=page_data(feed, chosen, owners), **values)


def _marked(task: TaskKey = TASK) -> str:
    return f"{BuildMarker.new(task_key(*task), 1)} nightly"


class TestPage:
    def test_no_builds_are_a_sentence(self, owners: Owners) -> None:
        assert "This project has no builds yet" in _page(FakeFeed([]), owners)

    def test_5000_builds_show_one_page_of_them(self, owners: Owners) -> None:
        page = _page(FakeFeed([_build(number) for number in range(5000, 0, -1)]), owners, page=2)
        assert page.count("<tr>") == PAGE_SIZE + 1
        assert "5,000" in page
        assert "page 2 of 100" in page

    def test_everything_foreign_is_text(self, owners: Owners) -> None:
        fields = {"message": EVIL, "status": EVIL, "description": EVIL, "name": EVIL}
        page = _page(FakeFeed([_build(1, **fields), _build(2, message=EVIL, status="BUILDING")]), owners, owner=EVIL)
        page += _page(FakeFeed([_build(1, **fields), _build(2, message=EVIL, status="BUILDING")]), owners)
        assert EVIL not in page
        assert "&lt;script&gt;" in page

    def test_outage_without_builds_is_a_sentence(self, owners: Owners) -> None:
        page = _page(FakeFeed(None, "MetaKraftwerk does not respond; this page keeps trying."), owners)
        assert "MetaKraftwerk does not respond" in page
        assert "Traceback" not in page

    def test_filters_by_status_and_owner(self, owners: Owners) -> None:
        builds = [_build(3, status="FAILED"), _build(2, description=_marked()), _build(1)]
        ours, failed = (
            _page(FakeFeed(builds), owners, owner="nightly"),
            _page(FakeFeed(builds), owners, status="FAILED"),
        )
        assert [number in ours for number in ("/b/1", "/b/2", "/b/3")] == [False, True, False]
        assert [number in failed for number in ("/b/1", "/b/2", "/b/3")] == [False, False, True]

    def test_page_names_no_third_party(self, owners: Owners) -> None:
        page = _page(FakeFeed([_build(1)]), owners)
        assert set(page.split('"')) & {"https://", "http://", "//"} == set()
        assert page.count("https://") == page.count("https://mkw.example.com/b/")
        # What the Content-Security-Policy forbids.
        assert " style=" not in page
        assert " on" not in page.replace(" one", "").replace(" on ", "")


class TestOwners:
    def test_marker_names_the_task(self, owners: Owners) -> None:
        build = _build(1, description=_marked())
        assert owners.label_of(build) == "nightly · start_build"
        assert owners.link_of(build) == (
            "/af/dags/nightly/runs/scheduled__2026-11-22T02%3A00%3A00%2B00%3A00/tasks/start_build"
        )

    def test_unreadable_dag_is_not_named(self, owners: Owners) -> None:
        build = _build(1, description=_marked())
        stranger = Owners("/af", set())
        assert (stranger.label_of(build), stranger.link_of(build)) == ("Airflow", "")

    def test_forged_marker_names_no_task(self, owners: Owners) -> None:
        made_up = _build(1, description="[airflow:0123456789abcdef-1-01234567] DAG nightly, task start_build")
        assert (owners.label_of(made_up), owners.link_of(made_up)) == ("Airflow", "")

    def test_person_is_a_user(self, owners: Owners) -> None:
        assert owners.label_of(_build(1)) == "user 7"

    def test_mapped_task_has_its_own_page(self) -> None:
        assert task_page("", TaskKey("d", "r", "t", 3)) == "/dags/d/runs/r/tasks/t/mapped/3"


class TestTab:
    def _details(self, **more: Any) -> dict[str, Any]:
        names = ("usual", "project", "changed", "url", "owner_link")
        lists = {"running": [], "files": [], "deployments": [], "deployment_names": {}, "patterns": {}}
        return {**dict.fromkeys(names), **lists, "owner": "user 7", **more}

    def test_everything_foreign_is_text(self) -> None:
        build = _build(1, message=EVIL, status="FAILED")
        files = [{"name": EVIL, "pattern": EVIL, "size": 1, "sha256": "0" * 64}]
        shown = render(
            "tab.html", root="", data=TabData(EVIL, build, self._details(project=EVIL, owner=EVIL, files=files))
        )
        assert EVIL not in shown
        assert shown.count("&lt;script&gt;") >= 5

    def test_duration_is_compared_with_the_median(self) -> None:
        builds = [_build(9, build_end="2026-11-22T02:03:00Z"), *(_build(number) for number in (3, 2, 1))]
        usual = usual_duration(builds, builds[0])
        assert usual == (60.0, 3)
        shown = render("tab.html", root="", data=TabData("", builds[0], self._details(usual=usual)))
        assert "3.0 times the usual 1 min 0 s" in shown
        assert "median of 3 builds" in shown

    def test_builds_of_other_patterns_do_not_count(self) -> None:
        assert usual_duration([_build(1, patterns=[808])], _build(2, patterns=[809])) is None
