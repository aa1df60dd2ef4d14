"""Starting a build exactly once."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mkw_airflow_provider.client.api.builds import Build, BuildStatus, CreatedBuild, create_build, find_builds
from mkw_airflow_provider.client.flows.build_marker import BuildMarker, choose
from mkw_airflow_provider.client.recovery import send_or_recover, send_without_recovery
from mkw_airflow_provider.client.request import Request
from mkw_airflow_provider.client.session import ApiSession, Flow
from mkw_airflow_provider.exceptions import BuildStartUncertainError


@dataclass(frozen=True)
class BuildRequest:
    """What to build: the arguments of ``POST /builds``, as :func:`create_build` takes them."""

    project: str | None
    project_id: int | None
    instances: Sequence[Mapping[str, Any]]
    releases: Mapping[str, str] | None = None
    description: str | None = None
    wait: bool = False
    restore: bool = False


def start(
    session: ApiSession, order: BuildRequest, identity: BuildMarker | None, *, is_retry: bool = False
) -> Flow[CreatedBuild]:
    """Start a build, or take up the one that an earlier try of the same series started.

    :param identity: None: start one whatever happened before, and leave no trace to find it by.
    :param is_retry: whether an earlier try of the series may have started one: then it is looked for first.
    :raises BuildStartUncertainError: if the answer was lost and no build appears within ``outage_tolerance``.
    :raises ApiError: what the server said; no build was started.
    """
    if identity is None:
        return (yield from create(session, order))
    before: list[Build] = []
    if is_retry:
        before = yield from _listed(session, order)
        found = choose(identity, before)
        if found is not None:
            session.log.info(
                "Build %s was started by an earlier try of this task and is %s: going on with it.",
                found.id,
                found.status,
            )
            return CreatedBuild(found, [])
        session.log.info("No build of an earlier try of this task goes on or has finished: starting one.")
    elif identity.first_try > 1:
        yield from _warn_of_earlier(session, order, identity)
    return (yield from _start_once(session, order, identity, known={build.id for build in before}))


def create(session: ApiSession, order: BuildRequest) -> Flow[CreatedBuild]:
    """Send ``POST /builds`` once.

    :raises BuildStartUncertainError: if the answer was lost: nobody knows whether a build goes on.
    """

    def uncertain(what: str) -> BuildStartUncertainError:
        return BuildStartUncertainError(
            f"{what}: whether a build was started is unknown. It carries no mark to look it up by; "
            "look for it in the web application before starting another"
        )

    return (yield from send_without_recovery(session, _call(order, order.description), uncertain=uncertain))


def _start_once(
    session: ApiSession, order: BuildRequest, identity: BuildMarker, known: Collection[int]
) -> Flow[CreatedBuild]:
    """Send ``POST /builds`` once, marked by an identity.

    :param known: ids of the builds listed before: a failed one of an earlier try has the same mark.
    """

    def find() -> Flow[CreatedBuild | None]:
        builds: list[Build] = yield from _listed(session, order)
        # What the lost answer was about may have failed already; that, too, is how its start ended.
        mine = [build for build in builds if identity.marks(build) and build.id not in known]
        found = choose(identity, mine) or max(mine, key=lambda build: build.id, default=None)
        if found is None:
            return None
        session.log.info("Build %s is the one that the lost answer was about: going on with it.", found.id)
        return CreatedBuild(found, [])

    def uncertain(what: str) -> BuildStartUncertainError:
        return BuildStartUncertainError(
            f"{what}. A build with {identity.marker} in its description may go on at the server. "
            "The next try of this task looks for it first, and starts one only if there is none"
        )

    request = _call(order, identity.describe(order.description))
    return (yield from send_or_recover(session, request, find=find, uncertain=uncertain))


def _call(order: BuildRequest, description: str | None) -> Request[CreatedBuild]:
    return create_build(
        project=order.project,
        project_id=order.project_id,
        instances=order.instances,
        releases=order.releases,
        description=description,
        wait=order.wait,
        restore=order.restore,
    )


def _listed(session: ApiSession, order: BuildRequest) -> Flow[list[Build]]:
    """List the builds of the order's project that this user started."""
    token = yield from session.token()
    request = find_builds(project=order.project, project_id=order.project_id, user_id=token.user_id)
    return (yield from session.request(request))


def _warn_of_earlier(session: ApiSession, order: BuildRequest, identity: BuildMarker) -> Flow[None]:
    """Say so if the build of an earlier series, before the task was cleared, still goes on."""
    builds: list[Build] = yield from _listed(session, order)
    markers = identity.earlier()
    for build in builds:
        if build.status == BuildStatus.BUILDING and any(earlier.marks(build) for earlier in markers):
            session.log.warning(
                "Build %s, started before this task was cleared, still goes on at the server. Starting another one.",
                build.id,
            )
