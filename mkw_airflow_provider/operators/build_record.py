"""A build starts exactly once: what is remembered of the attempts before, and what the next attempt makes of it.

Airflow 3.3 and later keep a record in the task state store. Before that, the markers in the descriptions of the
builds are all that is remembered.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from mkw_airflow_provider.client.api.builds import Build, BuildStatus, CreatedBuild
from mkw_airflow_provider.client.flows.build_marker import BuildMarker, MarkedBuild, pick_reusable, task_key
from mkw_airflow_provider.client.flows.start import (
    BuildRequest,
    create_marked,
    find_marked,
    list_builds_of_task,
    read_build,
)
from mkw_airflow_provider.client.recovery import may_have_taken_effect, search
from mkw_airflow_provider.exceptions import MetaKraftwerkError
from mkw_airflow_provider.operators.attempt_record import AttemptRecord, State, restore
from mkw_airflow_provider.safe_values import restored_integer
from mkw_airflow_provider.typing import OnClear

if TYPE_CHECKING:
    from collections.abc import Callable

    from mkw_airflow_provider.client.flows import ApiSession, Flow
    from mkw_airflow_provider.operators.attempt import Attempt
    from mkw_airflow_provider.version_compat import TaskStateStore


@dataclass(frozen=True, kw_only=True)
class BuildRecord(AttemptRecord):
    """What the task state store remembers of the newest build of a task instance.

    :param marker: of its POST.
    :param build_id: None while ``sending``.
    """

    key: ClassVar[str] = "metakraftwerk_build"

    marker: str
    build_id: int | None = field(default=None, metadata={"read": restored_integer})


class Earlier(NamedTuple):
    """The build that an attempt finds.

    :param was_cleared: whether the task was cleared after that build was started.
    """

    build: Build
    marker: BuildMarker | None
    was_cleared: bool


def digest_of(order: BuildRequest) -> str:
    """Return a digest of what a request asks for. How its instances are sorted, and its description, do not count."""
    instances = sorted(json.dumps(dict(instance), sort_keys=True) for instance in order.instances)
    asked: list[object] = [order.project, order.project_id, instances, dict(order.releases or {})]
    if order.selector is not None:
        asked.append(order.selector.to_dict())
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def decide(status: str | None, *, was_cleared: bool, on_clear: OnClear) -> Literal["adopt", "build", "rebuild"]:
    """Decide what to do about the build of an earlier attempt.

    :param status: of that build; None: it was deleted.
    :param was_cleared: whether the task was cleared since: then this attempt is no retry.
    :return: ``adopt`` it, ``build`` because it is of no use, or ``rebuild`` although it is still running.
    """
    if status is None or status in (BuildStatus.FAILED, BuildStatus.CANCELED):
        return "build"
    if status == BuildStatus.FINISHED:
        return "build" if was_cleared else "adopt"
    return "rebuild" if was_cleared and on_clear == "rebuild" else "adopt"


def start_once(
    session: ApiSession,
    order: BuildRequest,
    attempt: Attempt,
    store: TaskStateStore | None,
    on_clear: OnClear,
    prepare: Callable[[BuildRequest], Flow[BuildRequest]] | None = None,
) -> Flow[CreatedBuild]:
    """Start a build, or adopt the one that an earlier attempt of the same task instance started.

    :param store: where the record is kept; None before Airflow 3.3.
    :param on_clear: what a cleared task does while its earlier build is still running.
    :param prepare: makes the request complete right before the POST; an attempt that adopts a build does not call it.
    """
    digest, record = digest_of(order), None
    if store is not None:
        record = BuildRecord.load(store)
        earlier = yield from _recorded(session, order, attempt, record, digest, on_clear)
    else:
        earlier = yield from _marked(session, order, attempt, on_clear)
    if earlier is not None and _is_adopted(session, earlier, on_clear):
        if store is not None:
            _record(attempt, digest, "started", earlier.marker, earlier.build.id).save(store)
        return CreatedBuild(earlier.build, [])
    if earlier is None and attempt.try_number > 1:
        session.log.info("No running or finished build from an earlier attempt; starting one.")
    if prepare is not None:
        order = yield from prepare(order)
    marker = BuildMarker.new(_key(attempt), attempt.max_tries)
    sending = _record(attempt, digest, "sending", marker)
    if store is not None:
        sending.save(store)
    try:
        created: CreatedBuild = yield from create_marked(session, order, marker, f"Started by Airflow: {attempt}")
    except MetaKraftwerkError as error:
        if store is not None and not may_have_taken_effect(error):
            restore(store, BuildRecord.key, record)
        raise
    if store is not None:
        replace(sending, state="started", build_id=created.build.id).save(store)
    return created


def mark_done(store: TaskStateStore | None, attempt: Attempt) -> None:
    """Record that a task has done its work: from now on, an attempt after a clear builds again."""
    record = None if store is None else BuildRecord.load(store)
    if store is not None and record is not None:
        replace(record, state="done", max_tries=attempt.max_tries, clear_number=attempt.clear_number).save(store)


def warn_if_marker_is_lost(log: Any, build: Build, attempt: Attempt) -> None:
    """Warn if a server has cut or replaced a build's description, so that nothing tells whose build it is.

    :param build: as received; a response without a description says nothing.
    """
    marker = BuildMarker.find(build.description)
    if "description" not in build.raw or (marker is not None and marker.task == _key(attempt)):
        return
    log.warning(
        "The description of build %s has lost its marker: the server has cut or changed it. If the response to a start "
        "request is lost, and before Airflow 3.3 in each retry, this task cannot find its build and may start another.",
        build.id,
    )


def _key(attempt: Attempt) -> str:
    return task_key(attempt.dag_id, attempt.run_id, attempt.task_id, attempt.map_index)


def _record(
    attempt: Attempt, digest: str, state: State, marker: BuildMarker | None, build_id: int | None = None
) -> BuildRecord:
    return BuildRecord(
        state=state,
        max_tries=attempt.max_tries,
        clear_number=attempt.clear_number,
        digest=digest,
        marker=str(marker or ""),
        build_id=build_id,
    )


def _recorded(
    session: ApiSession,
    order: BuildRequest,
    attempt: Attempt,
    record: BuildRecord | None,
    digest: str,
    on_clear: OnClear,
) -> Flow[Earlier | None]:
    """Return the build that the record of a task is about, or None."""
    if record is None:
        return None
    if record.digest != digest:
        session.log.info("An earlier attempt of this task asked for another build; not looking for it.")
        return None
    marker, was_cleared = BuildMarker.find(record.marker), record.was_cleared_before(attempt)
    try:
        if record.build_id is None:
            session.log.info("An earlier attempt ended while it was starting a build; searching for %s.", record.marker)
            build = None if marker is None else (yield from find_marked(session, order, marker))
        else:
            build = yield from read_build(session, record.build_id)
    except MetaKraftwerkError as error:
        if not (was_cleared and on_clear == "rebuild"):
            raise
        shown = record.marker if record.build_id is None else record.build_id
        session.log.warning("Build %s, started before this task was cleared, cannot be read: %s", shown, error)
        build = None
    return None if build is None else Earlier(build, marker, was_cleared)


def _marked(session: ApiSession, order: BuildRequest, attempt: Attempt, on_clear: OnClear) -> Flow[Earlier | None]:
    """Return the build by whose marker an earlier attempt of a task is known, or None."""
    if attempt.try_number == 1:
        return None

    def pick(found: list[MarkedBuild]) -> Earlier | None:
        picked = pick_reusable(found, attempt.max_tries)
        if picked is None:
            return None
        return Earlier(picked.build, picked.marker, picked.marker.max_tries != attempt.max_tries)

    def find() -> Flow[list[MarkedBuild] | None]:
        found: list[MarkedBuild]
        found = yield from list_builds_of_task(session, order, _key(attempt), attempt.run_started)
        of_this_run = [marked for marked in found if marked.is_of_this_run is not False]
        # Each earlier attempt started one build at most. While one may be missing, the server may still be working on
        # the request of a worker that was killed, or its list may be behind.
        is_complete = len(of_this_run) >= attempt.try_number - 1
        picked = pick(found)
        is_adoptable = picked is not None and _decide(picked, on_clear) == "adopt"
        return found if is_complete or is_adoptable else None

    found = yield from search(session, find, session.settings.read_timeout)
    return pick(found or (yield from list_builds_of_task(session, order, _key(attempt), attempt.run_started)))


def _decide(earlier: Earlier, on_clear: OnClear) -> Literal["adopt", "build", "rebuild"]:
    status = None if earlier.build.deleted else earlier.build.status
    return decide(status, was_cleared=earlier.was_cleared, on_clear=on_clear)


def _is_adopted(session: ApiSession, earlier: Earlier, on_clear: OnClear) -> bool:
    """Decide about an earlier build, and log why."""
    build, decision = earlier.build, _decide(earlier, on_clear)
    if decision == "rebuild":
        session.log.warning(
            "Build %s, started before this task was cleared, is still running on the server: the API cannot cancel "
            "builds. Starting another one, because on_clear is 'rebuild'.",
            build.id,
        )
    elif decision == "build":
        state = "deleted" if build.deleted else build.status
        session.log.info("Build %s, started earlier by this task, is %s; starting another one.", build.id, state)
    elif earlier.was_cleared:
        session.log.info(
            "Build %s, started before this task was cleared, is still running; adopting it, because on_clear is "
            "'adopt_running'.",
            build.id,
        )
    else:
        session.log.info(
            "Build %s, started by an earlier attempt of this task, is %s; adopting it.", build.id, build.status
        )
    return decision == "adopt"
