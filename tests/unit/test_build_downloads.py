"""Which files a build has: read from the build itself, else from the list of downloads."""

from __future__ import annotations

from typing import Any

import pytest

from mkw_airflow_provider.client.api.builds import Build
from mkw_airflow_provider.client.flows.download_build import build_with_downloads
from mkw_airflow_provider.exceptions import BuildCanceledError, BuildFailedError, DownloadError, ProtocolError
from tests.kit.files import Files
from tests.kit.simulation import World, build

DOWNLOADS = [
    {"id": 5442, "pattern": "CORE_DV_HLS", "pattern_id": 808, "name": "CORE.zip"},
    {"id": 5443, "pattern": "STAGE_LOAD", "pattern_id": 809, "name": "STAGE.zip"},
]
FINISHED = build(5139, "FINISHED", downloads=DOWNLOADS)


def read(world: World, value: dict[str, Any], **others: Any) -> Build:
    files = Files(world, {})
    files.others = {"/api/v1/builds/5139": value, **others}
    return world.run(build_with_downloads(world.session, 5139))


def test_the_downloads_come_with_the_build_ordered_by_id(world):
    found = read(world, FINISHED | {"downloads": DOWNLOADS[::-1]})
    assert [download.id for download in found.downloads] == [5442, 5443]
    assert world.asked == ["GET /builds/5139"]


def test_a_build_that_lists_none_is_asked_for_by_the_list_of_downloads_and_patterns(world):
    listed = [{"id": 5442, "pattern_id": 808, "name": "CORE.zip"}, {"id": 5443, "pattern_id": 1, "name": "x.zip"}]
    found = read(
        world,
        build(5139, "FINISHED"),
        **{"/api/v1/downloads": listed, "/api/v1/patterns": [{"id": 808, "name": "CORE_DV_HLS"}]},
    )
    assert [download.pattern for download in found.downloads] == ["CORE_DV_HLS", None]
    assert world.asked == ["GET /builds/5139", "GET /downloads?build_id=5139", "GET /patterns"]


@pytest.mark.parametrize("entry", [None, 5444, "x.zip", [], {}, {"id": None, "name": "x.zip"}, {"id": "x"}])
def test_what_cannot_be_read_in_a_build_is_looked_up_in_the_list_of_downloads(world, entry):
    listed = [row | {"build_id": 5139} for row in [*DOWNLOADS, {"id": 5444, "pattern": "SCRIPTS", "name": "x.zip"}]]
    found = read(world, FINISHED | {"downloads": [*DOWNLOADS, entry]}, **{"/api/v1/downloads": listed})
    assert [download.id for download in found.downloads] == [5442, 5443, 5444]


def test_what_cannot_be_read_anywhere_is_an_error_that_says_so(world):
    broken = FINISHED | {"downloads": [*DOWNLOADS, {"name": "x.zip"}]}
    with pytest.raises(ProtocolError, match="build 5139 lists 3 downloads, of which only 2 can be read"):
        read(world, broken, **{"/api/v1/downloads": DOWNLOADS})


def test_a_build_without_downloads_is_an_error_that_says_so(world):
    with pytest.raises(DownloadError, match="build 5139 is FINISHED, but has no downloads"):
        read(world, build(5139, "FINISHED"), **{"/api/v1/downloads": []})


def test_a_build_that_goes_on_is_an_error_that_says_so(world):
    with pytest.raises(DownloadError, match="build 5139 is BUILDING: it has no files before it is FINISHED"):
        read(world, build(5139, "BUILDING", downloads=DOWNLOADS))


@pytest.mark.parametrize(("status", "kind"), [("FAILED", BuildFailedError), ("CANCELED", BuildCanceledError)])
def test_a_build_that_failed_is_an_error_of_its_own(world, status, kind):
    with pytest.raises(kind):
        read(world, build(5139, status, downloads=DOWNLOADS))


def test_an_unknown_status_never_passes_for_finished(world):
    with pytest.raises((DownloadError, ProtocolError), match="DONE"):
        read(world, build(5139, "DONE", downloads=DOWNLOADS))
