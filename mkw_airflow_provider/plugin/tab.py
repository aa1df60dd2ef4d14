"""What the tab of a task instance shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from mkw_airflow_provider.client.api.builds import Build, BuildStatus
from mkw_airflow_provider.client.api.metadata import count_changed
from mkw_airflow_provider.plugin import airflow_models, resources
from mkw_airflow_provider.plugin.airflow_models import TaskKey
from mkw_airflow_provider.plugin.build_of_task import BuildOfTask, find_build
from mkw_airflow_provider.plugin.feed import Feed, feed_of
from mkw_airflow_provider.plugin.history import usual_duration
from mkw_airflow_provider.plugin.owners import Owners

NO_BUILD = "This task has no MetaKraftwerk build: it is not an operator of the MetaKraftwerk provider."
NO_BUILD_YET = "This task has no MetaKraftwerk build yet. It appears here as soon as the task has started or found one."


class TabData(NamedTuple):
    """What the template gets.

    :param problem: a sentence instead of a build; or, with one, what is missing.
    :param details: all that is known of the build.
    :param is_final: whether the build has ended, so that nothing changes soon.
    """

    problem: str
    build: Build | None
    details: Mapping[str, Any]
    is_final: bool = False


def tab_data(task: TaskKey, owners: Owners) -> TabData:
    """Return what the tab shows of a task instance."""
    found = find_build(task)
    if found is None:
        return TabData(NO_BUILD, None, {}, is_final=True)
    if found.build_id is None:
        return TabData(NO_BUILD_YET, None, {})
    feed = feed_of(found.connection)
    (known,) = feed.read(resources.one_build(found.build_id, _known(feed, found.build_id)))
    build = known.value
    if build is None:
        return TabData(known.problem or "Loading …", None, {"build_id": found.build_id, "url": found.url})
    details = {"url": found.url or _url(feed, build), **_details(feed, task, found, build, owners)}
    return TabData(known.problem, build, details, is_final=build.has_ended)


def _known(feed: Feed, build_id: int) -> Any:
    return feed.peek(("build", build_id))


def _url(feed: Feed, build: Build) -> str:
    return "" if feed.settings is None else feed.settings.build_url(build.id, build.project_id)


def _details(feed: Feed, task: TaskKey, found: BuildOfTask, build: Build, owners: Owners) -> dict[str, Any]:
    wanted = []
    project_id = build.project_id
    if project_id is not None:
        wanted.append(resources.builds_of(project_id, resources.CALM))
    if build.status == BuildStatus.FINISHED:
        wanted += [resources.build_deployments_of(build.id), resources.deployment_names()]
        if project_id is not None:
            wanted.append(resources.deliveries_of(build.id, project_id))
    wanted.append(resources.projects())
    entries = dict(zip([resource.key[0] for resource in wanted], feed.read(*wanted), strict=True))

    def value(kind: str, default: Any) -> Any:
        entry = entries.get(kind)
        return default if entry is None or entry.value is None else entry.value

    builds: list[Build] = value("builds", [])
    deliveries = value("deliveries", None)
    running = [other for other in builds if other.status == BuildStatus.BUILDING and other.id != build.id]
    return {
        "usual": usual_duration(builds, build),
        "project": next((p.name for p in value("projects", []) if p.id == project_id), None),
        "running": [
            {"build": other, "owner": owners.label_of(other), "task": owners.link_of(other)} for other in running
        ],
        "changed": None if deliveries is None else count_changed(deliveries),
        "files": _files(task, found, build),
        "deployments": value("build deployments", []),
        "deployment_names": value("deployments", {}),
        "patterns": {download.pattern_id: download.pattern for download in build.downloads},
        "owner": owners.label_of(build),
        "owner_link": owners.link_of(build),
    }


def _files(task: TaskKey, found: BuildOfTask, build: Build) -> list[dict[str, Any]]:
    """Return the files of a build; with size and digest as far as a task of the same DAG run has downloaded them."""
    manifests = airflow_models.read_manifests(task.dag_id, task.run_id)
    if found.result is not None:
        manifests.append(found.result)
    fetched = {
        file.get("download_id"): file
        for manifest in manifests
        if manifest.get("build_id") == build.id
        for file in manifest.get("files") or ()
        if isinstance(file, Mapping)
    }
    return [
        {
            "name": download.name or f"download {download.id}",
            "pattern": download.pattern or "",
            "size": fetched.get(download.id, {}).get("size"),
            "sha256": fetched.get(download.id, {}).get("sha256"),
        }
        for download in build.downloads
    ]
