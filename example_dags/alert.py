"""Send an alert with a link to the build when a task fails.

BROKEN_VIEW is an instance of the emulator whose builds fail, so each run of this DAG sends one alert.
"""

from __future__ import annotations

import logging
from typing import Any

import pendulum
from airflow.providers.common.compat.sdk import DAG

from mkw_airflow_provider.operators.build import StartBuildOperator
from mkw_airflow_provider.selection import InstanceSelector


def send_alert(context: Any) -> None:
    """Write the alert to the log; in your DAG, send it to a chat or by e-mail."""
    ti = context["ti"]
    task = ti.task_id if ti.map_index < 0 else f"{ti.task_id}[{ti.map_index}]"
    url = ti.xcom_pull(task_ids=ti.task_id, map_indexes=ti.map_index, key="build_url") or "no build"
    logging.getLogger(__name__).error("ALERT: %s failed (%s): %s", task, url, context.get("exception"))


with DAG(
    dag_id="metakraftwerk_alert",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    default_args={"on_failure_callback": send_alert},
    doc_md=__doc__,
    tags=["metakraftwerk"],
) as dag:
    broken = InstanceSelector(name="BROKEN_VIEW")
    StartBuildOperator(task_id="build", project="DEMO_PROJECT", instances=broken, wait_for_completion=True)
