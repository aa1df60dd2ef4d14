"""The triggers of this package and of other providers, and the Airflow connections that they read."""

from __future__ import annotations

import json
import time
from typing import Any
from urllib.parse import urlsplit

#: Sorted as in the tables.
KINDS = ("metakraftwerk", "dbt-cloud", "databricks", "airbyte")

#: Time limit of triggers that require one, in seconds: longer than any measurement.
TIME_LIMIT = 3600.0


def connection(kind: str, url: str) -> tuple[str, str]:
    """Return name and value of the environment variable with the connection to a server.

    :param kind: one of :data:`KINDS`.
    :param url: the server's address.
    """
    parts = urlsplit(url)
    address = {"host": parts.hostname, "port": parts.port, "schema": parts.scheme}
    every: dict[str, dict[str, Any]] = {
        "metakraftwerk": {
            "conn_type": "metakraftwerk",
            **address,
            "login": "demo@example.com",
            "password": "demo-password",
        },
        # The account is the login; "https://" is put before the host.
        "dbt-cloud": {"conn_type": "dbt_cloud", "login": "1", "password": "demo-password", "host": parts.netloc},
        "databricks": {
            "conn_type": "databricks",
            **address,
            "password": "demo-password",
            "extra": json.dumps({"token": "demo"}),
        },
        # Without client id and secret, it sends no request for a token for each trigger.
        "airbyte": {"conn_type": "airbyte", "host": url},
    }
    return f"AIRFLOW_CONN_{kind.replace('-', '_').upper()}_DEFAULT", json.dumps(every[kind])


def make(kind: str, number: int, interval: float) -> Any:
    """Return a trigger that waits for a job.

    :param kind: one of :data:`KINDS`.
    :param number: id of the job.
    :param interval: seconds between two polls, the trigger's own option.
    """
    ends = time.time() + TIME_LIMIT
    if kind == "metakraftwerk":
        # Imported here, so that a process loads only what it measures.
        from mkw_airflow_provider.triggers.build import BuildTrigger

        return BuildTrigger(
            metakraftwerk_conn_id="metakraftwerk_default", build_id=number, poll_interval=interval, deadline=ends
        )
    if kind == "dbt-cloud":
        # Imported here, so that a process loads only what it measures.
        from airflow.providers.dbt.cloud.triggers.dbt import DbtCloudRunJobTrigger  # type: ignore[import-not-found,unused-ignore]

        return DbtCloudRunJobTrigger(
            conn_id="dbt_cloud_default", run_id=number, end_time=ends, poll_interval=interval, account_id=1
        )
    if kind == "databricks":
        # Imported here, so that a process loads only what it measures.
        from airflow.providers.databricks.triggers.databricks import DatabricksExecutionTrigger  # type: ignore[import-not-found,unused-ignore]

        return DatabricksExecutionTrigger(
            run_id=number,
            databricks_conn_id="databricks_default",
            polling_period_seconds=interval,  # a fraction works, too
        )
    if kind == "airbyte":
        # Imported here, so that a process loads only what it measures.
        from airflow.providers.airbyte.triggers.airbyte import AirbyteSyncTrigger  # type: ignore[import-not-found,unused-ignore]

        return AirbyteSyncTrigger(job_id=number, conn_id="airbyte_default", end_time=ends, poll_interval=interval)
    raise ValueError(f"unknown provider {kind}")


def succeeded(kind: str, payload: Any) -> bool:
    """Whether a trigger's event reports success."""
    if not isinstance(payload, dict):
        return False
    if kind == "metakraftwerk":
        return bool(payload.get("outcome") == "ended" and payload["build"]["status"] == "FINISHED")
    if kind == "databricks":
        return bool(json.loads(payload["run_state"])["result_state"] == "SUCCESS")
    return payload.get("status") == "success"


def allow_plain_http() -> None:
    """Let dbt Cloud's hook use HTTP, which it does not support. Nothing else of any provider is changed."""
    # Imported here, so that a process loads only what it measures.
    from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudHook  # type: ignore[import-not-found,unused-ignore]

    original = DbtCloudHook.get_request_url_params

    def plain(*args: Any, **kwargs: Any) -> tuple[str, dict[str, Any]]:
        url, parameters = original(*args, **kwargs)
        return url.replace("https://", "http://", 1), parameters

    DbtCloudHook.get_request_url_params = staticmethod(plain)  # type: ignore[method-assign,unused-ignore]
