"""This provider's tasks, as the fault table runs them."""

from __future__ import annotations

import json
from typing import Any

from mkw_airflow_provider.client import token_cache
from mkw_airflow_provider.operators.build import StartBuildOperator
from tests.faults.stage import Pace, Server

BUILD = {"pattern": "CORE_DV_HLS", "folder": "/BUSINESS_VAULT", "name": "AIRPLANE"}


class MetaKraftwerk:
    """:class:`StartBuildOperator` and its trigger, with nothing but the connection's times set."""

    start_path = "/api/v1/builds"

    def forget(self) -> None:
        """Forget the token that all tasks of this process share."""
        token_cache._caches.clear()

    def connection(self, server: Server, pace: Pace, *, tolerance: float, host: str | None) -> dict[str, str]:
        """Return the environment variable that is the Airflow connection."""
        fields = dict(server.control.connection)
        if host is not None:
            fields["host"] = host
        extra: dict[str, Any] = {
            "read_timeout": pace.read_timeout,
            "outage_tolerance": tolerance,
            # A server that is plain HTTP is loopback only, which a name is not.
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

    def hasten(self, trigger: Any, pace: Pace) -> None:
        """Leave the trigger as it is: the operator sets its poll interval."""

    def build_id(self, trigger: Any) -> int:
        """Return which build a trigger waits for."""
        return int(trigger.build_id)

    def poll_path(self, build_id: int) -> str:
        """Return the path by which the trigger looks at a build."""
        return f"/api/v1/builds/{build_id}"

    def look_alike(self, build_id: int, status: str) -> dict[str, Any]:
        """Return the answer to a look, with a status of one's own."""
        return {"id": build_id, "status": status}
