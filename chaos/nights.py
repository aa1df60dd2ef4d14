"""One night: follows a run of the chain from step to step and does to it what its plan says."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import psutil

from chaos.field import DAG_ID, Field
from chaos.kinds import Kind
from chaos.schedule import Plan
from chaos.server import Armed
from demo.rest import FINAL_RUN_STATES, AirflowApiError, AirflowClient
from mkw_airflow_provider.emulator.control import ControlError

T = TypeVar("T")

#: Seconds after which a night that has not ended counts as lost.
LONGEST_NIGHT = 300.0
LOOK_INTERVAL = 0.4
RUN_INTERVAL = 1.5
#: Seconds that Airflow's database may be busy.
BUSY = 60.0
#: Size of the file that is slow where its plan says so, in bytes, and how long it may flow before a kill, in seconds.
FILE_SIZE = 400_000
FLOW = 1.5

Tell = Callable[[str, str, str], None]
"""Told what happens: which night, what, and where."""

_ENDED = frozenset({"success", "failed", "upstream_failed", "skipped", "removed"})


class NightOverError(Exception):
    """The run has ended, so that what was waited for will not come."""


class LostNightError(Exception):
    """The run did not end in time."""


@dataclass
class Injury:
    """A fault of a plan and what became of it.

    :param done: whether it took place; a kill may come too late.
    :param armed: the fault at the server; None: there is none.
    """

    kind: Kind
    done: bool = False
    armed: Armed | None = None


@dataclass
class Night:
    """A run while it lasts.

    :param plan: what is to happen to it.
    :param tell: told of each kill.
    """

    place: Field
    plan: Plan
    tell: Tell
    injuries: list[Injury] = field(default_factory=list)
    build_id: int | None = None
    lost: bool = False

    def live(self) -> None:
        """Start the run, hurt it, and return when it has ended."""
        self._client = self.place.client()
        self._deadline = time.monotonic() + LONGEST_NIGHT
        self._looked = 0.0
        try:
            with self.place.start_turn:
                self._start()
            self._prepare()
            self._until(lambda: self._state("start_build") in _ENDED, "the end of start_build")
            self._wait()
            self._strike("download_build", self._fetching, after=FLOW)
            self._deploy()
            self._until(lambda: False, "the run's end")
        except NightOverError:
            pass
        except LostNightError:
            self.lost = True
        for injury in self.injuries:
            if injury.kind.kills is None and injury.armed is not None:
                injury.done = self.place.server.hits(injury.armed) > 0

    def _start(self) -> None:
        if self.place.over.is_set():
            raise LostNightError
        self._arm("start_build", "POST", "/api/v1/builds")
        # Its name decides how the build ends.
        instance = "BROKEN_VIEW" if self.plan.ending == "FAILED" else "AIRPLANE"
        self._trigger(instance)
        self.tell(self.plan.run_id, "triggered", f"its build will be {self.plan.ending}")
        self._strike("start_build", self._starting)
        # Where the answer was lost and yet no build comes, another request will: the turn lasts until then.
        self.build_id = int(self._until(self._find_build, "a build")["id"])

    def _trigger(self, instance: str) -> None:
        try:
            self._ask(lambda client: client.trigger(DAG_ID, {"instance": instance}, run_id=self.plan.run_id))
        except AirflowApiError as error:
            # The run is there though an answer before this one said otherwise.
            if error.status != 409:
                raise

    def _prepare(self) -> None:
        """Set the faults whose requests name the build or its file."""
        self._arm("wait_for_build", "GET", f"/api/v1/builds/{self.build_id}")
        downloads = self.place.server.ask(lambda control: control.downloads())
        self._big = next(download["id"] for download in downloads if download["build_id"] == self.build_id)
        self.place.server.ask(lambda control: control.set_download(self._big, size=FILE_SIZE))
        self._arm("download_build", "GET", f"/api/v1/downloads/{self._big}")

    def _wait(self) -> None:
        kind = self.plan.faults.get("wait_for_build")
        if kind is not None and kind.fault is not None:
            self._strike("wait_for_build", self._looking)
        else:
            self._strike("wait_for_build", self._deferred)
        if self.plan.ending == "CANCELED":
            self._until(self._deferred, "the wait")
            build_id = self.build_id or 0
            try:
                self.place.server.ask(lambda control: control.end_build(build_id, "CANCELED"))
            except ControlError:
                self.tell(self.plan.run_id, "not canceled", "the build was quicker")

    def _deploy(self) -> None:
        if "deploy_build" not in self.plan.faults:
            return
        # Its pool has one slot: from here on, the next deployment is this night's.
        self._until(lambda: self._state("deploy_build") in ("queued", "running"), "deploy_build")
        self._arm("deploy_build", "POST", "/api/v1/build_deployments")
        self._strike("deploy_build", self._deploying)

    def _arm(self, step: str, method: str, path: str) -> Injury | None:
        kind = self.plan.faults.get(step)
        if kind is None:
            return None
        injury = Injury(kind, armed=self.place.server.arm(kind, method, path))
        self.injuries.append(injury)
        return injury

    def _strike(self, step: str, moment: Callable[[], Any], after: float = 0.0) -> None:
        """Kill what the plan says at the right moment; nothing if the moment never comes."""
        injury = next((injury for injury in self.injuries if injury.kind.step == step), None)
        if injury is None or injury.kind.kills is None:
            return
        self._until(lambda: moment() or self._state(step) in _ENDED, injury.kind.text)
        if not moment():
            return
        self.place.over.wait(after)
        injury.done = self._kill(injury.kind.kills, step)
        self.tell(self.plan.run_id, injury.kind.text if injury.done else f"too late: {injury.kind.text}", step)

    def _kill(self, what: str, step: str) -> bool:
        stack = self.place.stack
        try:
            if what == "server":
                self.place.server.die_and_return()
            elif what == "worker":
                self._ask(lambda _: stack.kill_task(DAG_ID, self.plan.run_id, step))
            elif what == "supervisor":
                self._ask(lambda _: stack.kill_supervisor(DAG_ID, self.plan.run_id, step))
            else:
                self.place.replace(what)
        except (ProcessLookupError, psutil.NoSuchProcess):
            return False
        return True

    def _starting(self) -> bool:
        mark = f"run {self.plan.run_id} "
        return any(
            request["seconds"] is None and mark in str((request["body"] or {}).get("description"))
            for request in self.place.server.requests("POST", "/api/v1/builds")
        )

    def _looking(self) -> bool:
        return self._open("GET", f"/api/v1/builds/{self.build_id}")

    def _fetching(self) -> bool:
        return self._open("GET", f"/api/v1/downloads/{self._big}")

    def _deploying(self) -> bool:
        requests = self.place.server.requests("POST", "/api/v1/build_deployments")
        return any(r["seconds"] is None and (r["body"] or {}).get("build_id") == self.build_id for r in requests)

    def _open(self, method: str, path: str) -> bool:
        return any(request["seconds"] is None for request in self.place.server.requests(method, path))

    def _deferred(self) -> bool:
        return self._state("wait_for_build") == "deferred"

    def _state(self, step: str) -> str | None:
        task = self._ask(lambda client: client.task_instance(DAG_ID, self.plan.run_id, step))
        state: str | None = task["state"]
        return state

    def _find_build(self) -> Mapping[str, Any] | None:
        mark = f"run {self.plan.run_id} "
        builds = self.place.server.ask(lambda control: control.builds())
        return next((build for build in builds if mark in str(build["description"])), None)

    def _ask(self, question: Callable[[AirflowClient], T]) -> T:
        """Ask Airflow something, more than once if need be: its SQLite has one writer, and chaos makes it wait.

        :raises AirflowApiError: it refuses, or fails for longer than that takes.
        """
        deadline = time.monotonic() + BUSY
        while True:
            try:
                return question(self._client)
            except AirflowApiError as error:
                if error.status is None or error.status < 500 or time.monotonic() > deadline:
                    raise
            self.place.over.wait(LOOK_INTERVAL)

    def _until(self, condition: Callable[[], T | None], what: str) -> T:
        """Wait for something, as long as the run lasts.

        :raises NightOverError: the run has ended.
        :raises LostNightError: the night is too long, or all are to go home.
        """
        while True:
            if found := condition():
                return found
            if time.monotonic() - self._looked > RUN_INTERVAL:
                self._looked = time.monotonic()
                run = self._ask(lambda client: client.run(DAG_ID, self.plan.run_id))
                if run["state"] in FINAL_RUN_STATES:
                    raise NightOverError
            if time.monotonic() > self._deadline:
                self.tell(self.plan.run_id, "LOST", f"still waiting for {what}")
                raise LostNightError
            if self.place.over.wait(LOOK_INTERVAL):
                raise LostNightError
