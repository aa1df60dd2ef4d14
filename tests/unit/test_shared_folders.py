"""Several tasks, one folder: other files of one build, or another build. None makes another one fetch twice."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mkw_airflow_provider.client.storage.manifest import MANIFEST, journal_of
from mkw_airflow_provider.exceptions import ForbiddenError
from tests.kit.files import Files, content, names, put
from tests.kit.simulation import body, build, says_no
from tests.unit.test_results import ALL, FILES, FINISHED, bring, next_try

SCRIPTS, ZIPS = ["SCRIPTS"], ["CORE_DV_HLS", "STAGE_LOAD"]
#: Of another night: files of its own, with a date in their names, as most patterns name them.
NEXT = build(5140, "FINISHED", project_id=402, downloads=[{"id": 5501, "pattern": "SCRIPTS", "name": "run_04_03.sql"}])
NEXT_FILES = {5501: b"select 2;"}
#: Two nights with the same names.
ONE = FINISHED | {"downloads": FINISHED["downloads"][:3]}
TWIN = ONE | {"id": 5140, "downloads": [row | {"id": row["id"] + 100} for row in ONE["downloads"]]}
TWIN_FILES = FILES | {number + 100: data for number, data in FILES.items()}


def manifest_in(folder) -> dict[str, Any]:
    return json.loads(content(folder, MANIFEST))


def ids(manifest: dict[str, Any]) -> list[int]:
    return [file["download_id"] for file in manifest["files"]]


def test_two_tasks_with_other_patterns_keep_what_the_other_one_brought(world, folder):
    files = Files(world, FILES)
    scripts, zips = bring(world, folder, patterns=SCRIPTS), bring(world, folder, patterns=ZIPS)
    assert (ids(scripts), ids(zips)) == ([5444, 5445], [5442, 5443])
    assert manifest_in(folder) == scripts | {"files": zips["files"] + scripts["files"]}
    files.asked.clear()
    assert bring(world, folder, patterns=SCRIPTS) == scripts
    assert bring(world, folder, patterns=ZIPS) == zips
    assert bring(world, folder) == manifest_in(folder)
    assert files.asked == []
    assert names(folder) == ALL


def test_they_may_do_so_at_the_same_time(world, folder):
    files = Files(world, FILES)

    def meanwhile(call):
        """In the middle of the one task the other one begins and ends."""
        del files.instead[5445]
        bring(world, folder, patterns=ZIPS)
        return body(FILES[5445])

    files.instead[5445] = meanwhile
    bring(world, folder, patterns=SCRIPTS)
    assert ids(manifest_in(folder)) == [5442, 5443, 5444, 5445]
    files.asked.clear()
    bring(world, folder)
    assert files.asked == []
    assert names(folder) == ALL


def test_a_task_that_breaks_off_takes_nothing_from_the_others(world, folder):
    files = Files(world, FILES)
    scripts = bring(world, folder, patterns=SCRIPTS)
    files.instead[5443] = lambda call: says_no(403, "Not yours")
    with pytest.raises(ForbiddenError):
        bring(world, folder, patterns=ZIPS)
    assert manifest_in(folder) == scripts
    files.instead.clear()
    files.asked.clear()
    bring(next_try(world), folder)
    assert [number for number, _ in files.asked] == [5443]
    assert names(folder) == ALL


@pytest.mark.parametrize("change", ["longer", "deleted"])
def test_what_another_task_brought_and_stands_no_more_is_not_listed(world, folder, change):
    Files(world, FILES)
    bring(world, folder, patterns=SCRIPTS)
    folder.remove("run.sql") if change == "deleted" else put(folder, "run.sql", b"something longer")
    bring(world, folder, patterns=ZIPS)
    assert ids(manifest_in(folder)) == [5442, 5443, 5445]


def test_the_manifest_is_that_of_the_newest_task_and_the_build_before_is_not_forgotten(world, folder):
    files = Files(world, FILES | NEXT_FILES)
    first, second = bring(world, folder), bring(world, folder, NEXT)
    assert manifest_in(folder) == second
    assert names(folder) == sorted([*ALL, journal_of(5139), "run_04_03.sql"])
    files.asked.clear()
    assert bring(world, folder) == first == manifest_in(folder)
    assert bring(world, folder, NEXT) == second == manifest_in(folder)
    assert files.asked == []


def test_two_builds_may_come_at_the_same_time(world, folder):
    files = Files(world, FILES | NEXT_FILES)

    def meanwhile(call):
        del files.instead[5445]
        bring(world, folder, NEXT)
        return body(FILES[5445])

    files.instead[5445] = meanwhile
    first = bring(world, folder)
    assert manifest_in(folder) == first
    files.asked.clear()
    bring(world, folder, NEXT)
    bring(world, folder)
    assert files.asked == []


def test_a_build_whose_files_are_replaced_leaves_no_record(world, folder):
    files = Files(world, TWIN_FILES)
    bring(world, folder, ONE)
    files.asked.clear()
    assert bring(world, folder, TWIN) == manifest_in(folder)
    assert [number for number, _ in files.asked] == [5542, 5543, 5544]
    assert names(folder) == ["CORE.zip", "STAGE.zip", MANIFEST, "run.sql"]
    files.asked.clear()
    bring(world, folder, ONE)
    assert [number for number, _ in files.asked] == [5442, 5443, 5444]


def test_while_its_files_are_replaced_a_build_has_no_manifest(world, folder):
    files = Files(world, TWIN_FILES)
    bring(world, folder, ONE)
    files.instead[5542] = lambda call: says_no(403, "Not yours")
    with pytest.raises(ForbiddenError):
        bring(world, folder, TWIN)
    assert MANIFEST not in names(folder)


def test_the_journal_of_another_build_is_not_believed(world, folder):
    files = Files(world, FILES)
    bring(world, folder)
    folder.rename(MANIFEST, journal_of(5140))
    bring(world, folder, FINISHED | {"id": 5140})
    assert len(files.asked) == 8
