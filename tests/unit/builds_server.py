"""The builds of a simulated server, with what a server may do to descriptions, lists and clocks."""

from __future__ import annotations

from email.utils import formatdate
from typing import Any

import pendulum

from mkw_airflow_provider.client.wire import Call
from tests.unit.simulation import USER_ID, World, build, ok, says_no


class BuildsServer:
    """Serves ``/builds``.

    :param faults: for each POST: an answer instead of its own or None, and whether the work is done.
    """

    def __init__(self, world: World, faults: Any = ()) -> None:
        self.world = world
        self.faults = list(faults)
        self.builds: list[dict[str, Any]] = []
        self.rows: list[Any] = []
        #: What a new build gets, and seconds until it can be seen in the list, and by its id.
        self.next_status: str | None = "BUILDING"
        self.listed_after = 0.0
        self.readable_after = 0.0
        self.description_limit: int | None = None
        #: How many rows a list has, from the oldest.
        self.list_limit: int | None = None
        self.clock_ahead = 0.0
        self.user_id = USER_ID
        world.server = self

    def __call__(self, call: Call[Any]) -> Any:
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
        row = build(
            number, self.next_status, user_id=self.user_id, created_at=created_at, since=self.world.now, **fields
        )
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
        return self.world.clock.wall_seconds + self.clock_ahead

    def _age(self, row: dict[str, Any]) -> float:
        return self.world.now - float(row["since"])

    def _get(self, number: int) -> Any:
        for row in self.builds:
            if row["id"] == number and self._age(row) >= self.readable_after:
                return ok(row)
        return says_no(404, f"No record found for id '{number}'")

    def _post(self, call: Call[Any]) -> Any:
        answer, is_done = self.faults.pop(0) if self.faults else (None, True)
        if not is_done:
            return answer
        new = self.add(**(call.body or {}))
        return answer or ok({"build": {"id": new["id"], "status": "BUILDING"}, "warnings": ["no release"]}, 201)
