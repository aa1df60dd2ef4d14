"""This provider in the fault table."""

from __future__ import annotations

import json
from typing import Any

from dev.benchmarks.faults.setup import Pace, Server
from mkw_airflow_provider.client import token_cache
from mkw_airflow_provider.operators.build import StartBuildOperator
from mkw_airflow_provider.typing import InstanceByName

BUILD: InstanceByName = {"pattern": "CORE_DV_HLS", "folder": "/BUSINESS_VAULT", "name": "AIRPLANE"}


class MetaKraftwerk:
    """:class:`StartBuildOperator` and its trigger, with only the timeouts of the connection changed."""

    start_path = "/api/v1/builds"

    def forget_tokens(self) -> None:
        """Delete the token that all tasks of this process share."""
        token_cache._caches.clear()  # noqa: SLF001 - each row is to begin like a new process

    def connection(self, server: Server, pace: Pace, *, tolerance: float, host: str | None) -> dict[str, str]:
        """Return the environment variable that is the Airflow connection."""
        fields = dict(server.control.connection)
        if host is not None:
            fields["host"] = host
        extra: dict[str, Any] = {
            "read_timeout": pace.read_timeout,
            "outage_tolerance": tolerance,
            # Plain HTTP is allowed for the loopback interface only, which a host name is not.
            "allow_http": server.certificate is None,
        }
        if server.certificate is not None:
            extra["verify"] = str(server.certificate.with_name("authority.pem"))
        return {"AIRFLOW_CONN_METAKRAFTWERK_DEFAULT": json.dumps({**fields, "extra": extra})}

    def operator(self, task_id: str, pace: Pace) -> StartBuildOperator:
        """Return an operator that starts a build and waits for it in the triggerer."""
        return StartBuildOperator(
            task_id=task_id,
            project="DEMO_PROJECT",
            instances=[BUILD],
            wait_for_completion=True,
            deferrable=True,
            poll_interval=pace.poll_interval,
            retries=1,
        )

    def set_poll_interval(self, trigger: Any, pace: Pace) -> None:
        """Do nothing: the operator sets the poll interval."""

    def build_id(self, trigger: Any) -> int:
        """Return which build a trigger waits for."""
        return int(trigger.build_id)

    def poll_path(self, build_id: int) -> str:
        """Return the path that the trigger polls."""
        return f"/api/v1/builds/{build_id}"

    def status_response(self, build_id: int, status: str) -> dict[str, Any]:
        """Return the response to a poll with a given status."""
        return {"id": build_id, "status": status}
