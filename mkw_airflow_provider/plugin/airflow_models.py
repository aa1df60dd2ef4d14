"""What the plugin reads in Airflow's database. Its models are not public, so no other module uses them."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any, NamedTuple

from airflow.models.renderedtifields import RenderedTaskInstanceFields
from airflow.models.serialized_dag import SerializedDagModel
from airflow.utils.session import create_session
from sqlalchemy import select

from mkw_airflow_provider.version_compat import AIRFLOW_V_3_0_PLUS

if AIRFLOW_V_3_0_PLUS:
    from airflow.models.xcom import XComModel as XComRow
else:
    from airflow.models.xcom import XCom as XComRow  # type: ignore[no-redef]


class TaskKey(NamedTuple):
    """One task instance.

    :param map_index: -1 for a task that is not mapped.
    """

    dag_id: str
    run_id: str
    task_id: str
    map_index: int = -1


def read_xcoms(task: TaskKey, keys: Collection[str]) -> dict[str, Any]:
    """Return what a task instance has pushed under some keys."""
    columns = (XComRow.key, XComRow.value)
    query = select(*columns).where(
        XComRow.dag_id == task.dag_id,
        XComRow.run_id == task.run_id,
        XComRow.task_id == task.task_id,
        XComRow.map_index == task.map_index,
        XComRow.key.in_(list(keys)),
    )
    with create_session() as session:
        return {key: _decode(value) for key, value in session.execute(query)}


def _decode(value: Any) -> Any:
    """Return a pushed value. Airflow before 3 stores bytes; 3.3 encodes twice what a trigger has pushed."""
    if isinstance(value, (bytes, str)):
        try:
            return json.loads(value)
        except ValueError:
            return value if isinstance(value, str) else None
    return value


def read_rendered_fields(task: TaskKey) -> dict[str, Any]:
    """Return the rendered template fields of a task instance; empty if no worker has rendered them."""
    row = RenderedTaskInstanceFields
    query = select(row.rendered_fields).where(
        row.dag_id == task.dag_id,
        row.run_id == task.run_id,
        row.task_id == task.task_id,
        row.map_index == task.map_index,
    )
    with create_session() as session:
        found = session.execute(query).scalars().first()
    return dict(found) if isinstance(found, dict) else {}


def read_operator(dag_id: str, task_id: str) -> Any:
    """Return a task of the newest version of a DAG, deserialized; None if it is not there."""
    with create_session() as session:
        row = SerializedDagModel.get(dag_id, session=session)
        dag = None if row is None else row.dag
    return None if dag is None or not dag.has_task(task_id) else dag.get_task(task_id)
