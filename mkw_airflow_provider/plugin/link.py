"""The link as the API server computes it: also for tasks that were killed or that no worker has touched."""

from __future__ import annotations

import logging
from typing import Any

from mkw_airflow_provider.hooks.metakraftwerk import MetaKraftwerkHook
from mkw_airflow_provider.links import MetaKraftwerkLink
from mkw_airflow_provider.operators.build import DownloadBuildOperator, StartBuildOperator
from mkw_airflow_provider.operators.deployment import BuildDeploymentOperator
from mkw_airflow_provider.operators.patterns import ListBuildPatternsOperator
from mkw_airflow_provider.plugin.airflow_models import TaskKey
from mkw_airflow_provider.plugin.build_of_task import find_build
from mkw_airflow_provider.sensors.build import BuildSensor

log = logging.getLogger(__name__)


class PluginLink(MetaKraftwerkLink):
    """The same button as the operators' own, which Airflow prefers where the plugin is installed."""

    operators = [  # noqa: RUF012  # Airflow declares it so
        StartBuildOperator,
        DownloadBuildOperator,
        BuildDeploymentOperator,
        BuildSensor,
        ListBuildPatternsOperator,
    ]

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Return the address; empty if the task has no build yet, or the connection cannot be read here."""
        try:
            task = TaskKey(ti_key.dag_id, ti_key.run_id, ti_key.task_id, ti_key.map_index)
            found = find_build(task, operator)
            if found is None or found.url:
                return "" if found is None else found.url
            if found.build_id is None:
                return ""
            return MetaKraftwerkHook(found.connection).settings.build_url(found.build_id, found.project_id)
        except Exception as error:  # a link must not break the page of a task
            log.warning("The link to the build of task %s is not known: %s", ti_key.task_id, type(error).__name__)
            return ""
