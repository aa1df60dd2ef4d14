"""Types for DAG files and editors: what ``instances`` takes, and options with fixed values.

Nothing here does anything at run time. Annotate a list that a DAG file computes, so that a misspelled key is reported::

    airplane: InstanceByName = {"pattern": "CORE_DV_HLS", "folder": "/BUSINESS_VAULT", "name": "AIRPLANE"}
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, TypeAlias, TypedDict

from mkw_airflow_provider.selection import InstanceSelector

__all__ = [
    "DeploymentDict",
    "IfDeployed",
    "IfEmpty",
    "IfUnchanged",
    "InstanceById",
    "InstanceByName",
    "Instances",
    "OnClear",
    "SelectorDict",
    "SensorMode",
]

#: What a task does when there is nothing to work on.
IfEmpty: TypeAlias = Literal["fail", "skip"]
#: What a cleared task does while its build is still running.
OnClear: TypeAlias = Literal["adopt_running", "rebuild"]
#: What a deployment task does if the API already lists the deployment.
IfDeployed: TypeAlias = Literal["skip", "deploy", "fail"]
#: What a deployment task does if the files have not changed.
IfUnchanged: TypeAlias = Literal["deploy", "skip"]
#: How a sensor waits that is not deferrable.
SensorMode: TypeAlias = Literal["poke", "reschedule"]


class InstanceById(TypedDict):
    """An instance by its id in MetaKraftwerk."""

    id: int


class InstanceByName(TypedDict):
    """An instance by pattern, folder path and name."""

    pattern: str
    folder: str
    name: str


class SelectorDict(TypedDict, total=False):
    """The dict form of an :class:`~mkw_airflow_provider.selection.InstanceSelector`, with the same defaults."""

    pattern: str | Sequence[str]
    folder: str | Sequence[str]
    name: str | Sequence[str]
    label: str | Sequence[str] | None
    exclude: Sequence[SelectorDict]
    include_invalid: bool
    include_disabled: bool
    if_empty: IfEmpty
    max_instances: int


#: What ``instances`` takes besides the result of another task: a selector, a list, or a template as text.
Instances: TypeAlias = InstanceSelector | SelectorDict | Sequence[InstanceById | InstanceByName] | str


class _DeploymentTarget(TypedDict):
    pattern: str
    deployment: str


class DeploymentDict(_DeploymentTarget, total=False):
    """The dict form of a :class:`~mkw_airflow_provider.task_groups.Deployment`."""

    agent: str | None
    agent_group: str | None


class _RequiredArguments(TypedDict):
    task_id: str


class OperatorArguments(_RequiredArguments, total=False):
    """What Airflow's own base operator takes, so that editors offer it and report a misspelled name."""

    owner: str
    email: str | Sequence[str] | None
    email_on_retry: bool
    email_on_failure: bool
    retries: int | None
    retry_delay: timedelta | float
    retry_exponential_backoff: float
    max_retry_delay: timedelta | float | None
    retry_policy: Any
    start_date: datetime | None
    end_date: datetime | None
    depends_on_past: bool
    ignore_first_depends_on_past: bool
    wait_for_past_depends_before_skipping: bool
    wait_for_downstream: bool
    dag: Any
    params: Any
    default_args: dict[str, Any] | None
    priority_weight: int
    weight_rule: Any
    queue: str
    pool: str | None
    pool_slots: int
    sla: timedelta | None
    execution_timeout: timedelta | None
    on_execute_callback: Any
    on_failure_callback: Any
    on_success_callback: Any
    on_retry_callback: Any
    on_skipped_callback: Any
    pre_execute: Any
    post_execute: Any
    trigger_rule: str
    resources: dict[str, Any] | None
    run_as_user: str | None
    map_index_template: str | None
    max_active_tis_per_dag: int | None
    max_active_tis_per_dagrun: int | None
    executor: str | None
    executor_config: dict[str, Any] | None
    do_xcom_push: bool
    multiple_outputs: bool
    inlets: Any
    outlets: Any
    task_group: Any
    doc: str | None
    doc_md: str | None
    doc_json: str | None
    doc_yaml: str | None
    doc_rst: str | None
    task_display_name: str | None
    logger_name: str | None
    allow_nested_operators: bool
    render_template_as_native_obj: bool | None


class TaskGroupArguments(TypedDict, total=False):
    """What Airflow's own task group takes, besides its id."""

    group_display_name: str
    prefix_group_id: bool
    parent_group: Any
    dag: Any
    default_args: Any
    tooltip: str
    doc_md: str | None
    ui_color: str
    ui_fgcolor: str
    add_suffix_on_collision: bool
