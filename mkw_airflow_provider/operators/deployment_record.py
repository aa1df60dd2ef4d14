"""A retry never deploys twice, and a cleared task deploys again: what is remembered of the attempts before."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from mkw_airflow_provider.client.api.build_deployments import BuildDeployment
from mkw_airflow_provider.client.flows.deploy import (
    DeploymentRequest,
    deploy,
    find_new,
    find_target,
    list_deployments,
    new_ones,
)
from mkw_airflow_provider.client.recovery import may_have_taken_effect, search
from mkw_airflow_provider.exceptions import AlreadyDeployedError, MetaKraftwerkError
from mkw_airflow_provider.operators.attempt_record import AttemptRecord, State, restore
from mkw_airflow_provider.safe_values import restored_integer, restored_integers
from mkw_airflow_provider.typing import IfDeployed

if TYPE_CHECKING:
    from mkw_airflow_provider.client.flows import ApiSession, Flow
    from mkw_airflow_provider.operators.attempt import Attempt
    from mkw_airflow_provider.version_compat import TaskStateStore


@dataclass(frozen=True, kw_only=True)
class DeploymentRecord(AttemptRecord):
    """What the task state store remembers of the newest deployment of a task instance.

    :param known: ids of the deployments that were listed before the POST.
    :param deployment_id: None while ``sending``.
    """

    key: ClassVar[str] = "metakraftwerk_deployment"

    known: Sequence[int] = field(default=(), metadata={"read": restored_integers})
    deployment_id: int | None = field(default=None, metadata={"read": restored_integer})


def digest_of(order: DeploymentRequest) -> str:
    """Return a digest of what a request asks for."""
    return hashlib.sha256(json.dumps(vars(order), sort_keys=True).encode()).hexdigest()


def deploy_once(
    session: ApiSession,
    order: DeploymentRequest,
    attempt: Attempt | None,
    store: TaskStateStore | None,
    *,
    if_deployed: IfDeployed,
    retries: int,
) -> Flow[BuildDeployment]:
    """Deploy, unless an earlier attempt has, or ``if_deployed`` says otherwise.

    :param attempt: None outside a DAG run: then it is the first one.
    :param store: where the record is kept; None before Airflow 3.3.
    :param retries: of the operator.
    :raises AlreadyDeployedError: for ``if_deployed="fail"``.
    """
    record = None if store is None else DeploymentRecord.load(store)
    if record is not None and record.digest != digest_of(order):
        record = None
    if attempt is None or store is None:
        was_cleared = attempt is not None and _seems_cleared(attempt, retries)
        is_retry = attempt is not None and attempt.try_number > 1 and not was_cleared
    else:
        was_cleared = record is not None and record.was_cleared_before(attempt)
        is_retry = record is not None and not was_cleared
    if is_retry:
        earlier = yield from _made_earlier(session, order, record)
        if earlier is not None:
            session.log.info("Deployment %s was made by an earlier attempt of this task.", earlier.id)
            _save(store, attempt, order, "done", deployment_id=earlier.id)
            return earlier
    listed: list[BuildDeployment] = yield from list_deployments(session, order)
    # The earlier attempt knew of these and decided to deploy all the same, for example because the task was cleared.
    considered = record.known if is_retry and record is not None else ()
    candidates = new_ones(listed, considered)
    found = yield from _deployed_already(session, order, candidates, if_deployed, was_cleared=was_cleared)
    if found is not None:
        _save(store, attempt, order, "done", deployment_id=found.id)
        return found
    known = [deployment.id for deployment in listed]
    _save(store, attempt, order, "sending", known=known)
    try:
        made: BuildDeployment = yield from deploy(session, order, known)
    except MetaKraftwerkError as error:
        if store is not None and not may_have_taken_effect(error):
            restore(store, DeploymentRecord.key, record)
        raise
    _save(store, attempt, order, "done", known=known, deployment_id=made.id)
    return made


def _save(
    store: TaskStateStore | None,
    attempt: Attempt | None,
    order: DeploymentRequest,
    state: State,
    *,
    known: Sequence[int] = (),
    deployment_id: int | None = None,
) -> None:
    if store is None or attempt is None:
        return
    DeploymentRecord(
        state=state,
        max_tries=attempt.max_tries,
        clear_number=attempt.clear_number,
        digest=digest_of(order),
        # Airflow stores lists, not tuples.
        known=list(known),
        deployment_id=deployment_id,
    ).save(store)


def _seems_cleared(attempt: Attempt, retries: int) -> bool:
    """Whether this is the first attempt after the task was cleared, as far as Airflow before 3.3 tells.

    While no task of the DAG run was cleared it surely is not. Else the number of retries must do.

    :param retries: of the operator; editing them and then clearing the task can be mistaken for a retry.
    """
    return (
        attempt.clear_number != 0 and attempt.try_number > 1 and attempt.max_tries - retries + 1 == attempt.try_number
    )


def _made_earlier(
    session: ApiSession, order: DeploymentRequest, record: DeploymentRecord | None
) -> Flow[BuildDeployment | None]:
    """Return the deployment that an earlier attempt made; None if it made none."""
    if record is not None and record.deployment_id is not None:
        return BuildDeployment.from_json({"id": record.deployment_id, "build_id": order.build_id})
    known = [] if record is None else record.known
    # The server may still be working on the request of a worker that was killed.
    found = yield from search(session, lambda: find_new(session, order, known), session.settings.read_timeout)
    if found is not None:
        return found
    listed = yield from list_deployments(session, order)
    new = new_ones(listed, known)
    if not new:
        return None
    target = yield from find_target(session, order)
    doubtful = [deployment for deployment in new if target.matches(deployment) is None]
    if not doubtful:
        return None
    session.log.warning(
        "Whether deployment %s is of an earlier attempt of this task or of another agent cannot be told; assuming that "
        "it is, rather than deploying twice.",
        doubtful[-1].id,
    )
    return doubtful[-1]


def _deployed_already(
    session: ApiSession,
    order: DeploymentRequest,
    listed: Sequence[BuildDeployment],
    if_deployed: IfDeployed,
    *,
    was_cleared: bool,
) -> Flow[BuildDeployment | None]:
    """Return the listed deployment to leave it at; None to deploy.

    :raises AlreadyDeployedError: for ``if_deployed="fail"``.
    """
    if not listed:
        return None
    target = yield from find_target(session, order)
    counting = [deployment for deployment in listed if target.counts_as_deployed(deployment)]
    if not counting:
        return None
    newest = counting[-1]
    if if_deployed == "fail":
        raise AlreadyDeployedError(
            f"deployment {newest.id} {order} is listed already, and `if_deployed` is 'fail'. Nothing was sent"
        )
    if if_deployed == "skip" and not was_cleared:
        session.log.info("Deployment %s %s is listed already; not deploying again.", newest.id, order)
        return newest
    reason = "this task was cleared" if was_cleared else "`if_deployed` is 'deploy'"
    session.log.info("Deployment %s %s is listed already; deploying again, because %s.", newest.id, order, reason)
    return None
