"""Start a build, and find the ones that a task started before."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

from mkw_airflow_provider.client.api.builds import Build, CreatedBuild, create_build, find_builds, get_build
from mkw_airflow_provider.client.flows.build_marker import BuildMarker, MarkedBuild
from mkw_airflow_provider.client.recovery import search, send_or_recover, send_without_recovery
from mkw_airflow_provider.client.request import Request, Response
from mkw_airflow_provider.client.rows import read_list
from mkw_airflow_provider.client.session import ApiSession, Flow
from mkw_airflow_provider.exceptions import BuildStartUncertainError, NotFoundError, ProtocolError
from mkw_airflow_provider.selection import InstanceSelector, is_glob

#: Seconds for which a build that was just started may not be readable yet.
UNREADABLE_FOR = 60.0
#: A ``Date`` header has whole seconds, and a server may keep it for a second.
DATE_PRECISION = 2.0


@dataclass(frozen=True)
class BuildRequest:
    """What to build: the arguments of ``POST /builds``, as :func:`create_build` takes them.

    :param selector: selects the instances right before the POST; until then ``instances`` is empty.
    """

    project: str | None
    project_id: int | None
    instances: Sequence[Mapping[str, Any]]
    releases: Mapping[str, str] | None = None
    description: str | None = None
    wait: bool = False
    restore: bool = False
    selector: InstanceSelector | None = None

    def post(self, description: str | None) -> Request[CreatedBuild]:
        """Return the POST, with a description."""
        arguments = {name: value for name, value in vars(self).items() if name != "selector"}
        return create_build(**{**arguments, "description": description})

    @property
    def shared_pattern(self) -> str | None:
        """The pattern of all instances; None where they have several, or are given by id."""
        patterns = {instance.get("pattern") for instance in self.instances}
        if self.selector is not None:
            patterns = {None if is_glob(glob) else glob for glob in self.selector.globs("pattern")}
        return patterns.pop() if len(patterns) == 1 else None


def create(session: ApiSession, order: BuildRequest) -> Flow[CreatedBuild]:
    """Send ``POST /builds`` once, without a marker.

    :raises BuildStartUncertainError: if there was no response: nobody knows whether a build is running.
    """

    def uncertain(what: str) -> BuildStartUncertainError:
        return BuildStartUncertainError(
            f"{what}: whether a build was started is unknown. Its description has no marker to find it by; "
            "look for it in the web application before you start another one"
        )

    created: CreatedBuild = yield from send_without_recovery(
        session, order.post(order.description), uncertain=uncertain
    )
    return _log_start(session, order, created)


def create_marked(session: ApiSession, order: BuildRequest, marker: BuildMarker, origin: str) -> Flow[CreatedBuild]:
    """Send ``POST /builds`` once, with a marker; without a response, search for the marker.

    :param origin: a readable line for the description.
    :raises BuildStartUncertainError: if no build with the marker appears within ``outage_tolerance``.
    :raises ServerError: for a 500, if none appears within ``read_timeout``: one may be running all the same.
    :raises ApiError: for every other error response; no build was started.
    """
    post = order.post(marker.describe(order.description, origin))

    def find() -> Flow[CreatedBuild | None]:
        found = yield from _find_once(session, order, marker)
        if found is None:
            return None
        return CreatedBuild(found, [])

    def uncertain(what: str) -> BuildStartUncertainError:
        return BuildStartUncertainError(
            f"{what}. A build with {marker} in its description may be running on the server. "
            "The next attempt of this task searches for it, and starts one only if it finds none"
        )

    created: CreatedBuild = yield from send_or_recover(
        session, post, find=find, effect=f"a build with {marker}", uncertain=uncertain
    )
    return _log_start(session, order, created)


def _log_start(session: ApiSession, order: BuildRequest, created: CreatedBuild) -> CreatedBuild:
    count = len(order.instances)
    project = order.project or order.project_id
    session.log.info(
        "Started build %s in project %s (%s instance%s).", created.build.id, project, count, "s"[: count != 1]
    )
    return created


def find_marked(session: ApiSession, order: BuildRequest, marker: BuildMarker) -> Flow[Build | None]:
    """Search for the build of a POST whose outcome is unknown, of any user.

    A server may still be working on the request of a worker that was killed, for as long as a response may take.
    """
    return (yield from search(session, lambda: _find_once(session, order, marker), session.settings.read_timeout))


def read_build(session: ApiSession, build_id: int) -> Flow[Build | None]:
    """Return a build that was started earlier; None if it was deleted.

    A server may not show a new build yet: it counts as deleted only if it cannot be read for a minute.
    """

    def find() -> Flow[Build | None]:
        try:
            build: Build = yield from session.request(get_build(build_id))
        except NotFoundError:
            return None
        return build

    found = yield from search(session, find, UNREADABLE_FOR)
    return None if found is None or found.deleted else found


def list_builds_of_task(
    session: ApiSession, order: BuildRequest, task: str, run_started: float | None
) -> Flow[list[MarkedBuild]]:
    """List the builds of a task instance: those of this user, or of everyone if this user has none.

    :param task: its key.
    :param run_started: when its DAG run started, in epoch seconds by the clock of this machine.
    """
    before = session.wall()
    listed = yield from _list(session, order, lambda marker: marker.task == task)
    skew = _clock_skew(listed.date, before, session.wall())
    return [replace(found, is_of_this_run=_is_after(found.build, run_started, skew)) for found in listed.builds]


def _is_after(build: Build, run_started: float | None, skew: float) -> bool | None:
    if run_started is None or build.created_at is None:
        return None
    return bool(build.created_at.timestamp() - skew >= run_started)


def _clock_skew(date: str | None, before: float, after: float) -> float:
    """Return by how many seconds the server's clock is ahead of this machine's.

    :param date: the response's ``Date``.
    :param before: when the request was sent, by this machine's clock.
    :param after: when the response had arrived.
    """
    try:
        moment = parsedate_to_datetime(date or "").timestamp()
    except (ValueError, TypeError, OverflowError):
        return 0.0
    agree = before <= moment + DATE_PRECISION and moment <= after
    return 0.0 if agree else moment - after


class _Listed(NamedTuple):
    builds: list[MarkedBuild]
    date: str | None


def _find_once(session: ApiSession, order: BuildRequest, marker: BuildMarker) -> Flow[Build | None]:
    listed = yield from _list(session, order, lambda found: found == marker)
    return listed.builds[-1].build if listed.builds else None


def _list(session: ApiSession, order: BuildRequest, is_wanted: Callable[[BuildMarker], bool]) -> Flow[_Listed]:
    """List builds of the project whose markers are wanted: those of this user, or of everyone if this user has none."""
    token = yield from session.token()
    project, project_id = order.project, order.project_id
    of_everyone = find_builds(project=project, project_id=project_id)
    of_user = find_builds(project=project, project_id=project_id, user_id=token.user_id, pattern=order.shared_pattern)

    def read_row(value: Any) -> MarkedBuild | None:
        marker = BuildMarker.find(value.get("description")) if isinstance(value, Mapping) else None
        if marker is None or not is_wanted(marker):
            return None
        with suppress(ProtocolError):
            # A build that is just being created may have no status yet. It counts: leaving it out would start another.
            return MarkedBuild(Build.from_json({**value, "status": value.get("status") or "UNKNOWN"}), marker)
        return None

    read_rows = read_list(read_row)

    def read(response: Response) -> _Listed:
        rows = read_rows(response)
        return _Listed([row for row in rows if row is not None], response.headers.get("date"))

    listed: _Listed = yield from session.request(Request("GET", of_user.path, read, of_user.query, returns_list=True))
    if not listed.builds and of_user.query != of_everyone.query:
        listed = yield from session.request(
            Request("GET", of_everyone.path, read, of_everyone.query, returns_list=True)
        )
    return listed
