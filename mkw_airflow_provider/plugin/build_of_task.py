"""Which build a task instance is about, and over which connection."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from mkw_airflow_provider.links import BUILD_URL
from mkw_airflow_provider.plugin import airflow_models
from mkw_airflow_provider.plugin.airflow_models import TaskKey

DEFAULT_CONNECTION = "metakraftwerk_default"
#: How Airflow serializes the output of a task that is not mapped.
_OUTPUT = re.compile(
    r"\{\{ task_instance\.xcom_pull\(task_ids='(?P<task>[^']+)', dag_id='[^']*', key='(?P<key>[^']+)'\) \}\}"
)


class BuildOfTask(NamedTuple):
    """What Airflow knows of the build of a task.

    :param connection: id of the Airflow connection.
    :param build_id: None: the task has no build yet.
    :param project_id: None: not known here.
    :param url: what the task has pushed for its link; empty if nothing.
    :param result: what the task has returned: a build or a manifest, as a dict; None: neither.
    """

    connection: str
    build_id: int | None
    project_id: int | None
    url: str
    result: Mapping[str, Any] | None


def find_build(task: TaskKey, operator: Any = None) -> BuildOfTask | None:
    """Return the build of a task instance; None if the task is none of this package.

    :param operator: the deserialized operator; None: it is read if a worker has not rendered its fields.
    """
    fields = airflow_models.read_rendered_fields(task)
    if "metakraftwerk_conn_id" not in fields:
        operator = airflow_models.read_operator(task.dag_id, task.task_id) if operator is None else operator
        template_fields = getattr(operator, "template_fields", None) or ()
        if "metakraftwerk_conn_id" not in template_fields:
            return None
        fields = {name: _argument(operator, name) for name in ("metakraftwerk_conn_id", "build_id")}
    xcoms = airflow_models.read_xcoms(task, ("build_id", "return_value", BUILD_URL))
    result = xcoms.get("return_value")
    result = result if isinstance(result, Mapping) else None
    url, project = xcoms.get(BUILD_URL), None if result is None else result.get("project_id")
    build_id = _number(xcoms.get("build_id"))
    if build_id is None:
        build_id = _number(fields.get("build_id"))
    if build_id is None:
        build_id = _upstream(task, fields.get("build_id"))
    return BuildOfTask(
        connection=_connection(fields.get("metakraftwerk_conn_id")),
        build_id=build_id,
        project_id=_number(project),
        url=url if isinstance(url, str) else "",
        result=result,
    )


def _argument(operator: Any, name: str) -> Any:
    """Return an argument as it is in the DAG; of a mapped task, that of all its instances."""
    value = getattr(operator, name, None)
    return (getattr(operator, "partial_kwargs", None) or {}).get(name) if value is None else value


def _connection(value: Any) -> str:
    """Return the id of a connection; a template that no worker has rendered yet is not known here."""
    text = value.strip() if isinstance(value, str) else ""
    return DEFAULT_CONNECTION if text in ("", "None") or "{{" in text else text


def _upstream(task: TaskKey, argument: Any) -> int | None:
    """Return the build id that an upstream task has pushed, for a task that no worker has touched."""
    found = _OUTPUT.fullmatch(argument.strip()) if isinstance(argument, str) else None
    if found is None:
        return None
    origin = TaskKey(task.dag_id, task.run_id, found["task"])
    return _number(airflow_models.read_xcoms(origin, (found["key"],)).get(found["key"]))


def _number(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if value >= 0 else None
    return int(value) if isinstance(value, str) and re.fullmatch(r"\s*[0-9]{1,18}\s*", value) else None
