"""The providers that meet the faults: their operators and triggers as released, with nothing but poll intervals set."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

from dev.benchmarks.peers import words
from tests.faults.provider import MetaKraftwerk
from tests.faults.stage import Pace, Server, Subject


class _Peer:
    """What the peers have in common.

    :param start_path: path that starts a run.
    :param look: pattern of the path by which a trigger looks at a run.
    :param run: name of the trigger's attribute that holds the run.
    :param interval: name of the trigger's attribute that holds its poll interval.
    :param variable: name of the environment variable that is the Airflow connection.
    """

    start_path: str
    look: str
    run: str
    interval: str
    variable: str

    def forget(self) -> None:
        """Do nothing: the peers have tokens that do not change."""

    def connection(self, server: Server, pace: Pace, *, tolerance: float, host: str | None) -> dict[str, str]:
        """Return the environment variable that is the Airflow connection; the peers have no tolerance to set."""
        parts = urlsplit(server.control.url)
        return {self.variable: json.dumps(self.fields(host or parts.hostname or "", parts.port or 443))}

    def fields(self, host: str, port: int) -> dict[str, Any]:
        """Return the fields of the Airflow connection."""
        raise NotImplementedError

    def hasten(self, trigger: Any, pace: Pace) -> None:
        """Set a trigger's poll interval."""
        setattr(trigger, self.interval, pace.poll_interval)

    def build_id(self, trigger: Any) -> int:
        """Return which run a trigger waits for."""
        return int(getattr(trigger, self.run))

    def poll_path(self, build_id: int) -> str:
        """Return the path by which the trigger looks at a run."""
        return self.look.format(run=build_id)


class DbtCloud(_Peer):
    """:class:`DbtCloudRunJobOperator` and its trigger."""

    start_path, look, run, interval = words.DBT_START, words.DBT_LOOK, "run_id", "poll_interval"
    variable = "AIRFLOW_CONN_DBT_CLOUD_DEFAULT"

    def fields(self, host: str, port: int) -> dict[str, Any]:
        """Return the fields of the Airflow connection."""
        account = str(words.DBT_ACCOUNT)
        return {"conn_type": "dbt_cloud", "host": f"{host}:{port}", "login": account, "password": "a-token"}

    def operator(self, task_id: str, pace: Pace) -> Any:
        """Return an operator that starts a run and waits for it in the triggerer."""
        from airflow.providers.dbt.cloud.operators.dbt import DbtCloudRunJobOperator  # type: ignore[import-not-found,unused-ignore]

        return DbtCloudRunJobOperator(
            task_id=task_id, job_id=words.DBT_JOB, trigger_reason="faults", deferrable=True, retries=1
        )

    def look_alike(self, build_id: int, status: str) -> dict[str, Any]:
        """Return the answer to a look, with a status of one's own."""
        return words.dbt_run(build_id, status)


class Databricks(_Peer):
    """:class:`DatabricksRunNowOperator` and its trigger."""

    start_path, look, run, interval = words.DATABRICKS_START, words.DATABRICKS_LOOK, "run_id", "polling_period_seconds"
    variable = "AIRFLOW_CONN_DATABRICKS_DEFAULT"

    def fields(self, host: str, port: int) -> dict[str, Any]:
        """Return the fields of the Airflow connection."""
        return {"conn_type": "databricks", "host": host, "port": port, "schema": "https", "password": "a-token"}

    def operator(self, task_id: str, pace: Pace) -> Any:
        """Return an operator that starts a run and waits for it in the triggerer."""
        from airflow.providers.databricks.operators.databricks import DatabricksRunNowOperator  # type: ignore[import-not-found,unused-ignore]

        return DatabricksRunNowOperator(task_id=task_id, job_id=words.DATABRICKS_JOB, deferrable=True, retries=1)

    def look_alike(self, build_id: int, status: str) -> dict[str, Any]:
        """Return the answer to a look, with a status of one's own."""
        return words.databricks_run(build_id, status)


class Airbyte(_Peer):
    """:class:`AirbyteTriggerSyncOperator` and its trigger, without credentials, which spares it requests for tokens."""

    start_path, look, run, interval = words.AIRBYTE_START, words.AIRBYTE_LOOK, "job_id", "poll_interval"
    variable = "AIRFLOW_CONN_AIRBYTE_DEFAULT"

    def fields(self, host: str, port: int) -> dict[str, Any]:
        """Return the fields of the Airflow connection."""
        return {"conn_type": "airbyte", "host": f"https://{host}:{port}{words.AIRBYTE_API}"}

    def operator(self, task_id: str, pace: Pace) -> Any:
        """Return an operator that starts a job and waits for it in the triggerer."""
        from airflow.providers.airbyte.operators.airbyte import AirbyteTriggerSyncOperator  # type: ignore[import-not-found,unused-ignore]

        return AirbyteTriggerSyncOperator(
            task_id=task_id, connection_id=words.AIRBYTE_CONNECTION, deferrable=True, retries=1
        )

    def look_alike(self, build_id: int, status: str) -> dict[str, Any]:
        """Return the answer to a look, with a status of one's own."""
        return words.airbyte_job(build_id, status)


#: Distribution name to what runs it, in the order of the table.
SUBJECTS: dict[str, type[Subject]] = {
    "mkw-airflow-provider": MetaKraftwerk,
    "apache-airflow-providers-dbt-cloud": DbtCloud,
    "apache-airflow-providers-databricks": Databricks,
    "apache-airflow-providers-airbyte": Airbyte,
}
