"""The compared providers: their operators and triggers as released, with only the poll intervals changed."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

from dev.benchmarks.faults import services
from dev.benchmarks.faults.setup import Pace, Provider, Server
from dev.benchmarks.faults.this_provider import MetaKraftwerk


class _OtherProvider:
    """What the other providers have in common.

    :param start_path: path that starts a run.
    :param poll: template of the path that a trigger polls.
    :param run: name of the trigger's attribute that holds the run.
    :param interval: name of the trigger's attribute that holds its poll interval.
    :param variable: name of the environment variable that is the Airflow connection.
    """

    start_path: str
    poll: str
    run: str
    interval: str
    variable: str

    def forget_tokens(self) -> None:
        """Do nothing: their tokens do not change."""

    def connection(self, server: Server, pace: Pace, *, tolerance: float, host: str | None) -> dict[str, str]:
        """Return the environment variable that is the Airflow connection; they have no outage tolerance."""
        parts = urlsplit(server.control.url)
        return {self.variable: json.dumps(self.fields(host or parts.hostname or "", parts.port or 443))}

    def fields(self, host: str, port: int) -> dict[str, Any]:
        """Return the fields of the Airflow connection."""
        raise NotImplementedError

    def set_poll_interval(self, trigger: Any, pace: Pace) -> None:
        """Set a trigger's poll interval."""
        setattr(trigger, self.interval, pace.poll_interval)

    def build_id(self, trigger: Any) -> int:
        """Return which run a trigger waits for."""
        return int(getattr(trigger, self.run))

    def poll_path(self, build_id: int) -> str:
        """Return the path that the trigger polls."""
        return self.poll.format(run=build_id)


class DbtCloud(_OtherProvider):
    """:class:`DbtCloudRunJobOperator` and its trigger."""

    start_path, poll, run, interval = services.DBT_START, services.DBT_POLL, "run_id", "poll_interval"
    variable = "AIRFLOW_CONN_DBT_CLOUD_DEFAULT"

    def fields(self, host: str, port: int) -> dict[str, Any]:
        """Return the fields of the Airflow connection."""
        account = str(services.DBT_ACCOUNT)
        return {"conn_type": "dbt_cloud", "host": f"{host}:{port}", "login": account, "password": "a-token"}

    def operator(self, task_id: str, pace: Pace) -> Any:
        """Return an operator that starts a run and waits for it in the triggerer."""
        # Imported here, because only the environment of the benchmarks has the other providers.
        from airflow.providers.dbt.cloud.operators.dbt import DbtCloudRunJobOperator  # type: ignore[import-not-found,unused-ignore]

        return DbtCloudRunJobOperator(
            task_id=task_id, job_id=services.DBT_JOB, trigger_reason="faults", deferrable=True, retries=1
        )

    def status_response(self, build_id: int, status: str) -> dict[str, Any]:
        """Return the response to a poll with a given status."""
        return services.dbt_run(build_id, status)


class Databricks(_OtherProvider):
    """:class:`DatabricksRunNowOperator` and its trigger."""

    start_path, poll, run, interval = (
        services.DATABRICKS_START,
        services.DATABRICKS_POLL,
        "run_id",
        "polling_period_seconds",
    )
    variable = "AIRFLOW_CONN_DATABRICKS_DEFAULT"

    def fields(self, host: str, port: int) -> dict[str, Any]:
        """Return the fields of the Airflow connection."""
        return {"conn_type": "databricks", "host": host, "port": port, "schema": "https", "password": "a-token"}

    def operator(self, task_id: str, pace: Pace) -> Any:
        """Return an operator that starts a run and waits for it in the triggerer."""
        # Imported here, because only the environment of the benchmarks has the other providers.
        from airflow.providers.databricks.operators.databricks import DatabricksRunNowOperator  # type: ignore[import-not-found,unused-ignore]

        return DatabricksRunNowOperator(task_id=task_id, job_id=services.DATABRICKS_JOB, deferrable=True, retries=1)

    def status_response(self, build_id: int, status: str) -> dict[str, Any]:
        """Return the response to a poll with a given status."""
        return services.databricks_run(build_id, status)


class Airbyte(_OtherProvider):
    """:class:`AirbyteTriggerSyncOperator` and its trigger, without credentials, so that it requests no tokens."""

    start_path, poll, run, interval = services.AIRBYTE_START, services.AIRBYTE_POLL, "job_id", "poll_interval"
    variable = "AIRFLOW_CONN_AIRBYTE_DEFAULT"

    def fields(self, host: str, port: int) -> dict[str, Any]:
        """Return the fields of the Airflow connection."""
        return {"conn_type": "airbyte", "host": f"https://{host}:{port}{services.AIRBYTE_API}"}

    def operator(self, task_id: str, pace: Pace) -> Any:
        """Return an operator that starts a job and waits for it in the triggerer."""
        # Imported here, because only the environment of the benchmarks has the other providers.
        from airflow.providers.airbyte.operators.airbyte import AirbyteTriggerSyncOperator  # type: ignore[import-not-found,unused-ignore]

        return AirbyteTriggerSyncOperator(
            task_id=task_id, connection_id=services.AIRBYTE_CONNECTION, deferrable=True, retries=1
        )

    def status_response(self, build_id: int, status: str) -> dict[str, Any]:
        """Return the response to a poll with a given status."""
        return services.airbyte_job(build_id, status)


#: Providers by distribution name, sorted as in the table.
PROVIDERS: dict[str, type[Provider]] = {
    "mkw-airflow-provider": MetaKraftwerk,
    "apache-airflow-providers-dbt-cloud": DbtCloud,
    "apache-airflow-providers-databricks": Databricks,
    "apache-airflow-providers-airbyte": Airbyte,
}
