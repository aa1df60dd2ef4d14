"""The argument ``instances`` of a task: a list written by hand, or a selector that is resolved on the worker."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowSkipException

from mkw_airflow_provider.client.text import quote_value
from mkw_airflow_provider.client.validation import instance_list
from mkw_airflow_provider.exceptions import ConfigurationError, MetaKraftwerkError, NotFoundError, SelectionError
from mkw_airflow_provider.selection import InstanceSelector, Selection

if TYPE_CHECKING:
    from mkw_airflow_provider.client.flows.start import BuildRequest
    from mkw_airflow_provider.client.session import ApiSession, Flow


def read_instances(value: Any) -> list[dict[str, Any]] | InstanceSelector:
    """Return a list of instances or a selector.

    :param value: either of them, the dict form of a selector, or the JSON text of a list or of a dict form.
    :raises ConfigurationError: for anything else, also for both forms together.
    """
    if isinstance(value, str):
        try:
            decoded = json.loads(value)
        except (ValueError, RecursionError):
            decoded = None
        if isinstance(decoded, Mapping):
            value = decoded
    if isinstance(value, InstanceSelector):
        return value
    if isinstance(value, Mapping):
        if not value:
            raise ConfigurationError(
                "`instances` is an empty selector, which would select the whole project. If that is meant, write "
                "{'folder': '/**'}"
            )
        if "id" in value:
            raise ConfigurationError(f"`instances` must be a list; write [{quote_value(dict(value))}]")
        return InstanceSelector.from_dict(value)
    if isinstance(value, Sequence) and any(isinstance(entry, InstanceSelector) for entry in value):
        raise ConfigurationError(
            "`instances` must be either a list of instances or one InstanceSelector, not a list with selectors; a "
            "selector takes several globs"
        )
    return instance_list(value)


def resolve(
    session: ApiSession, request: BuildRequest, *, skip_if_empty: bool, push: Callable[[Selection], None]
) -> Flow[BuildRequest]:
    """Return a request with the instances that its selector selects; without a selector, the request as it is.

    :param push: is called with the selection.
    :raises AirflowSkipException: if nothing is selected, and the task or the selector says to skip then.
    :raises SelectionError: if nothing is selected otherwise, too much is, or a name does not exist.
    """
    # Loaded only by a task that runs: reading a DAG file must not load a flow.
    from mkw_airflow_provider.client.flows.select import describe_excluded, describe_selection, select

    selector = request.selector
    if selector is None:
        return request
    selection: Selection = yield from select(session, selector, project=request.project, project_id=request.project_id)
    session.log.info("%s Selector: %s.", describe_selection(selection), selector)
    for line in describe_excluded(selection):
        session.log.info("%s", line)
    push(selection)
    if not selection.ids:
        text = f"no instance matches the selector ({selector}); nothing was built"
        if skip_if_empty or selector.if_empty == "skip":
            raise AirflowSkipException(f"{text[:1].upper()}{text[1:]}.")
        raise SelectionError(f"{text}. To skip the task in this case, set if_empty='skip'")
    return replace(request, instances=[{"id": number} for number in selection.ids])


def explain_missing(session: ApiSession, request: BuildRequest, error: NotFoundError) -> Flow[NotFoundError]:
    """Return the error of a start with the names that do not exist, which the server does not give."""
    # Loaded only by a task that failed, see above.
    from mkw_airflow_provider.client.api.projects import find_projects
    from mkw_airflow_provider.client.flows.nearest import Name, explain_not_found
    from mkw_airflow_provider.client.flows.select import describe_missing, find_missing

    explained: NotFoundError = yield from explain_not_found(
        session, error, [Name("project", request.project, find_projects())]
    )
    if explained is not error:
        return explained
    if request.selector is not None or "instance" not in error.message.lower():
        return error
    try:
        missing = yield from find_missing(
            session, request.instances, project=request.project, project_id=request.project_id
        )
    except MetaKraftwerkError as problem:
        session.log.warning("The missing instances cannot be determined: %s", problem)
        return error
    if not missing:
        return error
    return NotFoundError(error.status, error.message, error.method, error.path, describe_missing(missing))
