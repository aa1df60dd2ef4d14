"""A finished build with files of three patterns, and a task that downloads it."""

from __future__ import annotations

from typing import Any

from mkw_airflow_provider.client.api.builds import Build
from mkw_airflow_provider.client.flows.download_build import BuildDownload
from mkw_airflow_provider.client.storage.folder import Folder
from mkw_airflow_provider.client.transports.stopping import StopSignal
from tests.kit.files import zip_of
from tests.kit.simulation import World, build

CORE, STAGE, TWIN = zip_of(core="create table a;"), zip_of(stage="create table b;"), b"select 1;"
FILES = {5442: CORE, 5443: STAGE, 5444: TWIN, 5445: TWIN}
DOWNLOADS = [
    {"id": 5442, "pattern": "CORE_DV_HLS", "pattern_id": 808, "name": "CORE.zip"},
    {"id": 5443, "pattern": "STAGE_LOAD", "pattern_id": 809, "name": "STAGE.zip"},
    {"id": 5444, "pattern": "SCRIPTS", "pattern_id": 810, "name": "run.sql"},
    {"id": 5445, "pattern": "SCRIPTS", "pattern_id": 810, "name": "run.sql"},
]
FINISHED = build(5139, "FINISHED", project_id=402, downloads=DOWNLOADS)
ALL = ["CORE.zip", "STAGE.zip", "manifest.json", "run-5445.sql", "run.sql"]


def download(
    world: World,
    folder: Folder,
    value: dict[str, Any] = FINISHED,
    patterns: list[str] | None = None,
    max_parallel: int = 4,
    stop: StopSignal | None = None,
) -> dict[str, Any]:
    """Do what an attempt of the task does."""
    return BuildDownload(world, world.session, Build.from_json(value), folder, stop=stop).run(patterns, max_parallel)
