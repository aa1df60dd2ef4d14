"""Tasks that fail because of a wrong secret, each with its own exception and log."""

from __future__ import annotations

import pendulum
from airflow.providers.common.compat.sdk import DAG

from mkw_airflow_provider.operators.build import StartBuildOperator

with DAG("refused", schedule=None, start_date=pendulum.datetime(2026, 1, 1, tz="UTC"), doc_md=__doc__) as dag:
    for reason in ("password", "token", "proxy"):
        StartBuildOperator(
            task_id=f"wrong_{reason}",
            metakraftwerk_conn_id=f"metakraftwerk_wrong_{reason}",
            project="DEMO_PROJECT",
            instances=[{"pattern": "CORE_DV_HLS", "folder": "/BUSINESS_VAULT", "name": "AIRPLANE"}],
        )
