"""This package's trigger and those of the peers: how to make one, and the Airflow connection that it reads."""

from __future__ import annotations

import json
import time
from typing import Any
from urllib.parse import urlsplit

#: In the order in which tables show them.
KINDS = ("metakraftwerk", "dbt-cloud", "databricks", "airbyte")

#: Seconds after which a trigger that asks for such a limit gives up: longer than any measurement.
PATIENCE = 3600.0


def connection(kind: str, url: str) -> tuple[str, str]:
    """Return name and value of the environment variable with the connection to a server.

    :param kind: one of :data:`KINDS`.
    :param url: the server's address.
    """
    parts = urlsplit(url)
    reach = {"host": parts.hostname, "port": parts.port, "schema": parts.scheme}
    every: dict[str, dict[str, Any]] = {
        "metakraftwerk": {
            "conn_type": "metakraftwerk",
            **reach,
            "login": "demo@example.com",
            "password": "demo-password",
        },
        # The account is the login; the host is put behind "https://" as it is.
        "dbt-cloud": {"conn_type": "dbt_cloud", "login": "1", "password": "demo-password", "host": parts.netloc},
        "databricks": {
            "conn_type": "databricks",
            **reach,
            "password": "demo-password",
            "extra": json.dumps({"token": "demo"}),
        },
        # Without client id and secret it spares itself a request for a token for each trigger.
        "airbyte": {"conn_type": "airbyte", "host": url},
    }
    return f"AIRFLOW_CONN_{kind.replace('-', '_').upper()}_DEFAULT", json.dumps(every[kind])


def make(kind: str, number: int, interval: float) -> Any:
    """Return a trigger that waits for a piece of work.

    :param kind: one of :data:`KINDS`.
    :param number: of the piece of work.
    :param interval: seconds between two polls, as the trigger's own option says it.
    """
    ends = time.time() + PATIENCE
    if kind == "metakraftwerk":
        from mkw_airflow_provider.triggers.build import BuildTrigger

        return BuildTrigger(
            metakraftwerk_conn_id="metakraftwerk_default", build_id=number, poll_interval=interval, deadline=ends
        )
    if kind == "dbt-cloud":
        from airflow.providers.dbt.cloud.triggers.dbt import DbtCloudRunJobTrigger  # type: ignore[import-not-found,unused-ignore]

        return DbtCloudRunJobTrigger(
            conn_id="dbt_cloud_default", run_id=number, end_time=ends, poll_interval=interval, account_id=1
        )
    if kind == "databricks":
        from airflow.providers.databricks.triggers.databricks import DatabricksExecutionTrigger  # type: ignore[import-not-found,unused-ignore]

        return DatabricksExecutionTrigger(
            run_id=number,
            databricks_conn_id="databricks_default",
            polling_period_seconds=interval,  # asyncio sleeps fractions, too
        )
    if kind == "airbyte":
        from airflow.providers.airbyte.triggers.airbyte import AirbyteSyncTrigger  # type: ignore[import-not-found,unused-ignore]

        return AirbyteSyncTrigger(job_id=number, conn_id="airbyte_default", end_time=ends, poll_interval=interval)
    raise ValueError(f"there is no peer {kind}")


def succeeded(kind: str, payload: Any) -> bool:
    """Whether a trigger's event says that the work ended well."""
    if not isinstance(payload, dict):
        return False
    if kind == "metakraftwerk":
        return bool(payload.get("outcome") == "ended" and payload["build"]["status"] == "FINISHED")
    if kind == "databricks":
        return bool(json.loads(payload["run_state"])["result_state"] == "SUCCESS")
    return payload.get("status") == "success"


def speak_plain_http() -> None:
    """Let dbt Cloud's hook speak HTTP where it can only speak HTTPS. Nothing else of any peer is changed."""
    from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudHook  # type: ignore[import-not-found,unused-ignore]

    original = DbtCloudHook.get_request_url_params

    def plain(*args: Any, **kwargs: Any) -> tuple[str, dict[str, Any]]:
        url, parameters = original(*args, **kwargs)
        return url.replace("https://", "http://", 1), parameters

    DbtCloudHook.get_request_url_params = staticmethod(plain)
