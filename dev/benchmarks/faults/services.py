"""The parts of the other services' APIs that their operators and triggers use."""

from __future__ import annotations

from typing import Any

DBT_ACCOUNT = 1
DBT_JOB = 7
DBT_START = f"/api/v2/accounts/{DBT_ACCOUNT}/jobs/{DBT_JOB}/run/"
DBT_POLL = f"/api/v2/accounts/{DBT_ACCOUNT}/runs/{{run}}/"
DBT_STATUS = {"BUILDING": 3, "FINISHED": 10, "FAILED": 20, "CANCELED": 30}

DATABRICKS_JOB = 7
DATABRICKS_START = "/api/2.2/jobs/run-now"
#: The run id is in the body.
DATABRICKS_POLL_SENT = "/api/2.2/jobs/runs/get"
DATABRICKS_POLL = f"{DATABRICKS_POLL_SENT}/{{run}}"
DATABRICKS_RESULT = {"FINISHED": "SUCCESS", "FAILED": "FAILED", "CANCELED": "CANCELED"}

AIRBYTE_CONNECTION = "6f0a4d4e-3a1c-4b3f-9a57-6c9b6a3a1f10"
AIRBYTE_API = "/api/public/v1"
AIRBYTE_START = f"{AIRBYTE_API}/jobs"
AIRBYTE_POLL = f"{AIRBYTE_API}/jobs/{{run}}"
AIRBYTE_STATUS = {"BUILDING": "running", "FINISHED": "succeeded", "FAILED": "failed", "CANCELED": "cancelled"}


def dbt_started(run: int, status: str) -> dict[str, Any]:
    """Return the response to the start of a dbt Cloud job."""
    return dbt_run(run, status)


def dbt_run(run: int, status: str) -> dict[str, Any]:
    """Return a dbt Cloud run; an unknown status becomes an unknown number."""
    return {"data": {"id": run, "href": f"/runs/{run}", "status": DBT_STATUS.get(status, 99), "run_steps": []}}


def databricks_started(run: int, status: str) -> dict[str, Any]:
    """Return the response to the start of a Databricks job."""
    del status
    return {"run_id": run}


def databricks_run(run: int, status: str) -> dict[str, Any]:
    """Return a Databricks run; an unknown status is returned unchanged."""
    ended = status in DATABRICKS_RESULT
    life_cycle = "TERMINATED" if ended else "RUNNING" if status == "BUILDING" else status
    state = {"life_cycle_state": life_cycle, "result_state": DATABRICKS_RESULT.get(status, ""), "state_message": ""}
    return {"run_id": run, "job_id": DATABRICKS_JOB, "run_page_url": f"/runs/{run}", "state": state, "tasks": []}


def airbyte_job(run: int, status: str) -> dict[str, Any]:
    """Return an Airbyte job; an unknown status is returned unchanged."""
    return {
        "jobId": run,
        "connectionId": AIRBYTE_CONNECTION,
        "jobType": "sync",
        "startTime": "2026-01-01T00:00:00Z",
        "status": AIRBYTE_STATUS.get(status, status.lower()),
    }
