"""What the page with all builds of a project shows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from mkw_airflow_provider.client.api.builds import Build, BuildStatus
from mkw_airflow_provider.client.flows.wait_result import duration
from mkw_airflow_provider.plugin import resources
from mkw_airflow_provider.plugin.feed import Feed
from mkw_airflow_provider.plugin.history import chart, usual_duration
from mkw_airflow_provider.plugin.owners import Owners

#: Rows of the table.
PAGE_SIZE = 50
STATUSES = tuple(str(status) for status in BuildStatus)


class Filters(NamedTuple):
    """What a user wants to see.

    :param project: id of the project; None: the connection's own, else the first one.
    :param status: one of ``STATUSES``; empty: any.
    :param owner: see :meth:`.Owners.group_of`; empty: any.
    :param page: number of the page, from 1.
    """

    project: int | None
    status: str
    owner: str
    page: int


def page_data(feed: Feed, filters: Filters, owners: Owners) -> dict[str, Any]:
    """Return what the template gets."""
    (known,) = feed.read(resources.projects())
    projects = known.value or []
    project = _chosen(projects, filters.project, feed.settings.project if feed.settings else None)
    data: dict[str, Any] = {
        "problem": known.problem,
        "projects": projects,
        "project": project,
        "statuses": STATUSES,
        "filters": filters,
    }
    if project is None:
        text = "The connection's user can see no project." if known.value is not None else "Loading …"
        return {**data, "builds": None, "problem": known.problem or text}
    (listed,) = feed.read(resources.builds_of(project.id, resources.LIVE))
    builds: list[Build] | None = listed.value
    if builds is None:
        return {**data, "builds": None, "problem": listed.problem or "Loading …"}
    found = [build for build in builds if _matches(build, filters, owners)]
    pages = max(1, -(-len(found) // PAGE_SIZE))
    number = min(max(1, filters.page), pages)
    return {
        **data,
        "problem": listed.problem,
        "builds": [_row(build, feed, owners) for build in found[(number - 1) * PAGE_SIZE : number * PAGE_SIZE]],
        "running": [
            {**_row(build, feed, owners), "usual": usual_duration(builds, build)}
            for build in found
            if build.status == BuildStatus.BUILDING
        ],
        "count": len(found),
        "total": len(builds),
        "pages": pages,
        "page": number,
        "owners": _owner_options(builds, filters.owner, owners),
        "chart": chart(found, lambda build, seconds: f"Build {build.id}: {build.status}, {duration(seconds)}"),
    }


def _chosen(projects: Sequence[Any], wanted: int | None, default: str | None) -> Any:
    by_id = {project.id: project for project in projects}
    by_name = {project.name: project for project in projects}
    return by_id.get(wanted or -1) or by_name.get(default) or next(iter(projects), None)


def _matches(build: Build, filters: Filters, owners: Owners) -> bool:
    is_status = not filters.status or str(build.status) == filters.status
    return is_status and (not filters.owner or owners.group_of(build) == filters.owner)


def _row(build: Build, feed: Feed, owners: Owners) -> dict[str, Any]:
    return {
        "build": build,
        "url": "" if feed.settings is None else feed.settings.build_url(build.id, build.project_id),
        "owner": owners.label_of(build),
        "owner_link": owners.link_of(build),
        "seconds": build.seconds,
    }


def _owner_options(builds: Iterable[Build], chosen: str, owners: Owners) -> list[tuple[str, str]]:
    words = {"(people)": "people", "(airflow)": "Airflow, other tasks"}
    groups = {owners.group_of(build) for build in builds} | ({chosen} if chosen else set())
    return sorted(((group, words.get(group, f"DAG {group}")) for group in groups), key=lambda pair: pair[1])
