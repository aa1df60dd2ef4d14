"""The documented responses of each product's API about one job, all of similar size."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping
from typing import Any

#: Longer than any measurement.
TOKEN_SECONDS = 72_000


def token() -> str:
    """Return an access token as MetaKraftwerk issues it: a JWT with issue and expiry times."""
    now = int(time.time())
    parts = ({"alg": "HS256", "typ": "access"}, {"iat": now, "exp": now + TOKEN_SECONDS, "sub": "7"}, {"signed": True})
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)


def login() -> dict[str, Any]:
    """Return the response to MetaKraftwerk's ``POST /authentication``."""
    return {"accessToken": token(), "user": {"id": 7, "username": "demo", "email": "demo@example.com"}}


def build(number: int, *, share: float, started: float) -> dict[str, Any]:
    """Return the response to MetaKraftwerk's ``GET /api/v1/builds/:id``.

    :param share: share of the job that is done, from 0 to 1.
    :param started: epoch seconds.
    """
    ended = share >= 1
    moment = _iso(started, number)
    return {
        "id": number,
        "customer_id": 1,
        "user_id": 7,
        "project_id": 12,
        "progress": min(int(100 * share), 100),
        "status": "FINISHED" if ended else "BUILDING",
        "message": "building CORE_DV_HLS (3 of 12) ...",
        "build_start": moment,
        "build_end": _iso(time.time(), number) if ended else None,
        "created_at": moment,
        "updated_at": _iso(time.time(), number),
        "history_commited": int(ended),
        "version": 41,
        "active": 1,
        "mts": int(started * 1000),
        "name": None,
        "deliveries_calculated": int(ended),
        "description": "nightly",
        "commit_ind": 0,
        "deleted": 0,
        "instances": 12,
        "patterns": [3, 5, 8],
        "releases": [2, 4],
        "downloads": [],
    }


def dbt_run(number: int, *, share: float, started: float) -> dict[str, Any]:
    """Return the response to dbt Cloud's ``GET /api/v2/accounts/:id/runs/:id/``."""
    ended, moment = share >= 1, _iso(started, number)
    data: dict[str, Any] = {
        "id": number,
        "trigger_id": 55,
        "account_id": 1,
        "environment_id": 9,
        "project_id": 12,
        "job_definition_id": 3,
        "status": 10 if ended else 3,
        "dbt_version": "1.9.0",
        "git_branch": "main",
        "git_sha": "0" * 40,
        "status_message": None,
        "created_at": moment,
        "updated_at": moment,
        "started_at": moment,
        "finished_at": None,
        "in_progress": not ended,
        "is_complete": ended,
        "is_success": ended,
        "is_error": False,
        "href": f"https://cloud.getdbt.com/deploy/1/projects/12/runs/{number}/",
        "duration": "00:01:12",
        "run_steps": [],
    }
    return {"status": {"code": 200, "is_success": True, "user_message": "Success!"}, "data": data}


def databricks_run(number: int, *, share: float, started: float) -> dict[str, Any]:
    """Return the response to Databricks' ``GET /api/2.2/jobs/runs/get``."""
    ended, milliseconds = share >= 1, int(started * 1000)
    state = {"life_cycle_state": "TERMINATED" if ended else "RUNNING", "state_message": "In run"}
    return {
        "job_id": 3,
        "run_id": number,
        "number_in_job": number,
        "original_attempt_run_id": number,
        "state": {**state, **({"result_state": "SUCCESS"} if ended else {})},
        "start_time": milliseconds,
        "setup_duration": 0,
        "execution_duration": 0,
        "cleanup_duration": 0,
        "end_time": 0,
        "trigger": "ONE_TIME",
        "creator_user_name": "demo@example.com",
        "run_name": "nightly",
        "run_type": "JOB_RUN",
        "format": "MULTI_TASK",
        "run_page_url": f"https://example.cloud.databricks.com/?o=1#job/3/run/{number}",
        "attempt_number": 0,
        "tasks": [],
    }


def airbyte_job(number: int, *, share: float, started: float) -> dict[str, Any]:
    """Return the response to Airbyte's ``GET /jobs/:id``."""
    return {
        "jobId": number,
        "status": "succeeded" if share >= 1 else "running",
        "jobType": "sync",
        "startTime": _iso(started, number),
        "connectionId": "0f2a5a2e-98a6-4d0c-9d2b-5a7d1c7f2b11",
        "lastUpdatedAt": _iso(started, number),
        "duration": "PT1M12S",
        "bytesSynced": 1_048_576,
        "rowsSynced": 4_096,
    }


def encode(status: int, value: Mapping[str, Any]) -> bytes:
    """Return a complete HTTP response."""
    body = json.dumps(value, separators=(",", ":")).encode()
    head = (
        f"HTTP/1.1 {status} OK\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _iso(seconds: float, number: int) -> str:
    """Return a timestamp; its milliseconds differ between jobs, so that no client saves time with a cache."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{number % 1000:03}Z"
