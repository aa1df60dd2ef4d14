"""A simulated server of builds, with what it may do to descriptions, lists and clocks; and a task that starts them."""

from __future__ import annotations

import json
from dataclasses import replace
from email.utils import formatdate
from typing import Any

import pendulum

from mkw_airflow_provider.client.flows.start import BuildRequest
from mkw_airflow_provider.client.request import Request
from mkw_airflow_provider.operators.attempt import Attempt
from mkw_airflow_provider.operators.build_record import mark_done, start_once
from tests.kit.simulation import USER_ID, World, build, http_error, ok
from tests.kit.tasks import as_stored

BUILD_REQUEST = BuildRequest("DEMO_PROJECT", None, [{"id": 1001}, {"id": 1002}], {"DWH_GROUP": "R1"}, "nightly build")


class BuildsServer:
    """Serves ``/builds``.

    :param faults: for each POST: a response instead of its own, or None, and whether the work is done.
    """

    def __init__(self, world: World, faults: Any = ()) -> None:
        self.world = world
        self.faults = list(faults)
        self.builds: list[dict[str, Any]] = []
        self.rows: list[Any] = []
        #: What a new build gets, and seconds until it can be seen in the list, and by its id.
        self.next_status: str | None = "BUILDING"
        #: Seconds for which the server works on a POST before the new build can be seen at all.
        self.works_for = 0.0
        self.listed_after = 0.0
        self.readable_after = 0.0
        self.description_limit: int | None = None
        #: How many rows a list has, from the oldest.
        self.list_limit: int | None = None
        self.clock_ahead = 0.0
        self.user_id = USER_ID
        world.server = self

    def __call__(self, call: Request[Any]) -> Any:
        if call.method == "POST":
            return self._post(call)
        _, _, number = call.path.rpartition("/builds")
        if number:
            return self._get(int(number[1:]))
        user_id = dict(call.query).get("user_id", "")
        listed = [
            row
            for row in self.builds
            if self._age(row) >= self.listed_after and str(row["user_id"]) in (user_id or str(row["user_id"]))
        ]
        return ok(self.rows + listed[: self.list_limit], date=formatdate(self._clock, usegmt=True))

    def add(self, **fields: Any) -> dict[str, Any]:
        """Add a build as a POST does."""
        number = 1 + max((row["id"] for row in self.builds), default=5138)
        created_at = pendulum.from_timestamp(self._clock).to_iso8601_string()
        since = self.world.now + self.works_for
        row = build(number, self.next_status, user_id=self.user_id, created_at=created_at, since=since, **fields)
        row["description"] = (row.get("description") or "")[: self.description_limit]
        self.builds.append({**row, "instances": 1, "releases": []})
        return self.builds[-1]

    def end(self, status: str) -> None:
        """Let the newest build end."""
        self.builds[-1]["status"] = status

    @property
    def ids(self) -> list[int]:
        return [row["id"] for row in self.builds]

    @property
    def _clock(self) -> float:
        return self.world.clock.wall() + self.clock_ahead

    def _age(self, row: dict[str, Any]) -> float:
        return self.world.now - float(row["since"])

    def _get(self, number: int) -> Any:
        for row in self.builds:
            if row["id"] == number and self._age(row) >= self.readable_after:
                return ok(row)
        return http_error(404, f"No record found for id '{number}'")

    def _post(self, call: Request[Any]) -> Any:
        response, is_done = self.faults.pop(0) if self.faults else (None, True)
        if not is_done:
            return response
        new = self.add(**(call.body or {}))
        return response or ok({"build": {"id": new["id"], "status": "BUILDING"}, "warnings": ["no release"]}, 201)


class Store:
    """The task state store."""

    def __init__(self) -> None:
        self.content: dict[str, str] = {}

    def get(self, key: str) -> Any:
        return json.loads(self.content[key]) if key in self.content else None

    def set(self, key: str, value: Any) -> None:
        self.content[key] = as_stored(value)

    def delete(self, key: str) -> None:
        del self.content[key]


class BuildTask:
    """One task instance and its attempts, counted as Airflow counts them.

    :param has_store: whether Airflow has a task state store.
    """

    def __init__(self, world: World, has_store: bool) -> None:
        self.world = world
        self.has_store = has_store
        self.server = BuildsServer(world)
        self.order = BUILD_REQUEST
        self.on_clear: Any = "adopt_running"
        self.recreate()

    def recreate(self) -> None:
        """Create the DAG run, after deleting it with all that Airflow kept of it."""
        self.store: Any = Store() if self.has_store else None
        started = self.world.clock.wall()
        self.attempt = Attempt("nightly", "run", "start", -1, 0, 3, 0, started)

    def run(self) -> int:
        """Run the next attempt; return the build's id."""
        self.attempt = replace(self.attempt, try_number=self.attempt.try_number + 1)
        self.world.sent.clear()
        self.world.lines.clear()
        flow = start_once(self.world.session, self.order, self.attempt, self.store, self.on_clear)
        created = self.world.run(flow)
        self.world.clock.advance(10)
        return created.build.id

    def succeed(self) -> int:
        """Run the next attempt to its end."""
        build_id = self.run()
        mark_done(self.store, self.attempt)
        return build_id

    def clear(self, retries: int = 3) -> None:
        """Clear the task while the DAG file says this."""
        number, clears = self.attempt.try_number, self.attempt.clear_number or 0
        self.attempt = replace(self.attempt, max_tries=number + retries, clear_number=clears + 1)
