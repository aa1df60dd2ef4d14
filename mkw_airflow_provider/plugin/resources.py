"""What the pages read from MetaKraftwerk, and how often."""

from __future__ import annotations

from typing import Any

from mkw_airflow_provider.client.api.build_deployments import find_build_deployments
from mkw_airflow_provider.client.api.builds import Build, find_builds, get_build
from mkw_airflow_provider.client.api.deployments import find_deployments
from mkw_airflow_provider.client.api.metadata import find_deliveries
from mkw_airflow_provider.client.api.projects import find_projects
from mkw_airflow_provider.plugin.feed import Resource

#: Seconds: of what changes while a build runs, of what a person may change, and of what hardly changes.
LIVE, CALM, STEADY = 5.0, 60.0, 600.0


def one_build(build_id: int, known: Any) -> Resource:
    """Return a build.

    :param known: what is known of it: a build that has ended is read less often.
    """
    ended = isinstance(known, Build) and known.has_ended
    return Resource(("build", build_id), CALM if ended else LIVE, lambda session: session.request(get_build(build_id)))


def builds_of(project_id: int, max_age: float) -> Resource:
    """Return all builds of a project, newest first."""

    def flow(session: Any) -> Any:
        found = yield from session.request(find_builds(project_id=project_id))
        return sorted(found, key=lambda build: build.id, reverse=True)

    return Resource(("builds", project_id), max_age, flow)


def projects() -> Resource:
    """Return the projects that the connection's user can see."""

    def flow(session: Any) -> Any:
        found = yield from session.request(find_projects())
        return sorted((p for p in found if not p.deleted), key=lambda project: str(project.name).casefold())

    return Resource(("projects",), STEADY, flow)


def build_deployments_of(build_id: int) -> Resource:
    """Return the deployments of a build, oldest first."""

    def flow(session: Any) -> Any:
        found = yield from session.request(find_build_deployments(build_id=build_id))
        return sorted(found, key=lambda deployment: deployment.id)

    return Resource(("build deployments", build_id), 3 * LIVE, flow)


def deployment_names() -> Resource:
    """Return the names of all deployment definitions by id."""

    def flow(session: Any) -> Any:
        found = yield from session.request(find_deployments())
        return {deployment.id: str(deployment.name) for deployment in found}

    return Resource(("deployments",), STEADY, flow)


def deliveries_of(build_id: int, project_id: int) -> Resource:
    """Return what a build has changed, by MetaKraftwerk's own count."""
    return Resource(
        ("deliveries", build_id),
        STEADY,
        lambda session: session.request(find_deliveries(build_id, project_id=project_id)),
    )
