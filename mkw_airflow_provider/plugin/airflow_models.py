"""What the plugin reads in Airflow's database. Its models are not public, so no other module uses them."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from airflow.models.connection import Connection
from airflow.models.renderedtifields import RenderedTaskInstanceFields
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.taskinstance import TaskInstance
from airflow.utils.session import create_session
from sqlalchemy import select

from mkw_airflow_provider.version_compat import AIRFLOW_V_3_0_PLUS

if AIRFLOW_V_3_0_PLUS:
    from airflow.models.xcom import XComModel as XComRow
else:
    from airflow.models.xcom import XCom as XComRow  # type: ignore[no-redef]


#: How many of the newest tasks that started a build are read to find the owner of a build.
MOST_TASKS = 5_000


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


def read_state(task: TaskKey) -> tuple[str, str] | None:
    """Return the state of a task instance and the class of its operator; None if there is no such task instance."""
    row = TaskInstance
    query = select(row.state, row.operator).where(
        row.dag_id == task.dag_id,
        row.run_id == task.run_id,
        row.task_id == task.task_id,
        row.map_index == task.map_index,
    )
    with create_session() as session:
        found = session.execute(query).first()
    return None if found is None else (str(found[0] or ""), str(found[1] or ""))


def read_manifests(dag_id: str, run_id: str) -> list[Mapping[str, Any]]:
    """Return the manifests of the files that the tasks of a DAG run have downloaded."""
    downloads = select(TaskInstance.task_id).where(
        TaskInstance.dag_id == dag_id,
        TaskInstance.run_id == run_id,
        TaskInstance.operator == "DownloadBuildOperator",
    )
    query = (
        select(XComRow.value)
        .where(
            XComRow.dag_id == dag_id,
            XComRow.run_id == run_id,
            XComRow.key == "return_value",
            XComRow.task_id.in_(downloads),
        )
        .limit(100)
    )
    with create_session() as session:
        found = [_decode(value) for (value,) in session.execute(query)]
    return [value for value in found if isinstance(value, Mapping)]


def find_starting_tasks() -> list[TaskKey]:
    """Return the task instances that have started builds, newest first."""
    columns = (XComRow.dag_id, XComRow.run_id, XComRow.task_id, XComRow.map_index)
    query = select(*columns).where(XComRow.key == "build_id").order_by(XComRow.timestamp.desc()).limit(MOST_TASKS)
    with create_session() as session:
        return [TaskKey(*row) for row in session.execute(query)]


def find_connections(kind: str) -> list[str]:
    """Return the ids of the connections of a type in the database, which has none of the environment's."""
    with create_session() as session:
        return sorted(session.execute(select(Connection.conn_id).where(Connection.conn_type == kind)).scalars())
