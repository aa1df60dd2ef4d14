"""One night: follows a run of the chain from step to step and does to it what its plan says."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import psutil

from dev.chaos.evidence import Clear
from dev.chaos.field import DAG_ID, WAITING_DAG_ID, Field
from dev.chaos.kinds import AFTERWARDS, HELD_BEFORE, STEPS, Kind
from dev.chaos.schedule import Plan
from dev.chaos.server import Armed
from dev.stack.rest import FINAL_RUN_STATES, AirflowApiError, AirflowClient
from mkw_airflow_provider.emulator.control import ControlError

T = TypeVar("T")

#: Seconds after which a night that has not ended counts as lost.
LONGEST_NIGHT = 420.0
LOOK_INTERVAL = 0.4
RUN_INTERVAL = 1.5
#: Seconds that Airflow's database may be busy or its API server away.
BUSY = 150.0
#: Size of the file that is slow where its plan says so, in bytes, and how long it may flow before a kill, in seconds.
FILE_SIZE = 400_000
FLOW = 1.5

Tell = Callable[[str, str, str], None]
"""Told what happens: which night, what, and where."""

_ENDED = frozenset({"success", "failed", "upstream_failed", "skipped", "removed"})


class RunOverError(Exception):
    """The run has ended, so that what was waited for will not come."""


class LostNightError(Exception):
    """The run did not end in time."""


@dataclass
class Injury:
    """A fault of a plan and what became of it.

    :param armed: the fault at the server; None: there is none.
    :param done: whether it took place; a kill may come too late.
    """

    kind: Kind
    armed: Armed | None = None
    done: bool = False


class Night:
    """A run while it lasts.

    :param plan: what is to happen to it.
    :param tell: told of each kill and each clear.
    """

    def __init__(self, place: Field, plan: Plan, tell: Tell) -> None:
        self.plan = plan
        self.dag_id = WAITING_DAG_ID if plan.waits else DAG_ID
        self.injuries: list[Injury] = []
        self.clears: list[Clear] = []
        #: Whether the run did not end in time.
        self.lost = False
        self._place = place
        self._tell = partial(tell, plan.run_id)
        self._build_id = 0
        self._file_id = 0

    def live(self) -> None:
        """Start the run, hurt it, and return when it has ended."""
        self._client = self._place.client()
        self._deadline = time.monotonic() + LONGEST_NIGHT
        self._looked = 0.0
        try:
            for part in (self._run_chain, self._clear_afterwards):
                with contextlib.suppress(RunOverError):
                    part()
        except LostNightError:
            self.lost = True
        for injury in self.injuries:
            if injury.armed is not None and not injury.kind.strikes:
                injury.done = self._place.server.hits(injury.armed) > 0

    def _run_chain(self) -> None:
        with self._place.start_turn:
            self._start()
        self._wait_for("start_build")
        self._find_file()
        self._arm("wait_for_build", "GET", f"/api/v1/builds/{self._build_id}")
        self._arm("download_build", "GET", f"/api/v1/downloads/{self._file_id}")
        self._strike("wait_for_build", self._waiting("wait_for_build"))
        if self.plan.ending == "CANCELED":
            self._cancel()
        self._strike("download_build", lambda: self._open("GET", f"/api/v1/downloads/{self._file_id}"), after=FLOW)
        if "deploy_build" in self.plan.faults:
            # Its pool has one slot: from here on, the next deployment is this night's.
            self._until(lambda: self._state("deploy_build") in ("queued", "running"), "deploy_build")
            self._arm("deploy_build", "POST", "/api/v1/build_deployments")
            self._strike("deploy_build", self._deploying)
        self._until(lambda: False, "the run's end")

    def _start(self) -> None:
        if self._place.over.is_set():
            raise LostNightError
        self._arm("start_build", "POST", "/api/v1/builds")
        self._trigger()
        kind = self.plan.faults.get("start_build")
        if kind is not None and kind.waits:
            self._build_id = self._until(self._newest_build, "a build")
            if kind.fault is not None:
                self._place.server.arm("GET", f"/api/v1/builds/{self._build_id}", HELD_BEFORE)
            self._strike("start_build", self._waiting("start_build"))
        else:
            self._strike("start_build", self._starting)
        if kind is not None and (kind.clears or kind.fails):
            # Another request to build is to come: the turn lasts until then.
            self._wait_for("start_build")
        else:
            # Where the answer was lost and yet no build comes, another request will: the turn lasts until then.
            self._until(self._newest_build, "a build")

    def _trigger(self) -> None:
        # Its name decides how the build ends.
        instance = "BROKEN_VIEW" if self.plan.ending == "FAILED" else "AIRPLANE"
        try:
            self._ask(lambda client: client.trigger(self.dag_id, {"instance": instance}, run_id=self.plan.run_id))
        except AirflowApiError as error:
            # The run is there though an answer before this one said otherwise.
            if error.status != 409:
                raise
        self._tell("triggered", f"its build will be {self.plan.ending}")

    def _find_file(self) -> None:
        """Take the build that the chain goes on with, and make one of its files big."""
        self._build_id = self._until(self._newest_build, "a build")
        downloads = self._place.server.ask(lambda control: control.downloads())
        self._file_id = next(download["id"] for download in downloads if download["build_id"] == self._build_id)
        self._place.server.ask(lambda control: control.set_download(self._file_id, size=FILE_SIZE))

    def _cancel(self) -> None:
        self._until(lambda: self._state("wait_for_build") == "deferred", "the wait")
        if not self._end_build("CANCELED"):
            self._tell("not canceled", "the build was quicker")

    def _clear_afterwards(self) -> None:
        """Clear a task of the run that has ended, and wait for its end again."""
        kind = self.plan.faults.get(AFTERWARDS)
        if kind is None:
            return
        again = kind.clears == "start_build"
        with self._place.start_turn if again else contextlib.nullcontext():
            self._clear(str(kind.clears), downstream=again)
            self.injuries.append(Injury(kind, done=True))
            self._tell(kind.text, AFTERWARDS)
            if again:
                self._wait_for("start_build")
        self._until(lambda: False, "the run's end after the clear")

    def _arm(self, step: str, method: str, path: str) -> None:
        kind = self.plan.faults.get(step)
        if kind is None:
            return
        armed = None
        if kind.fault is not None:
            armed = self._place.server.arm(method, path, kind.fault, skip=kind.skip, times=kind.times)
        self.injuries.append(Injury(kind, armed))

    def _strike(self, step: str, moment: Callable[[], bool], after: float = 0.0) -> None:
        """Kill or clear what the plan says at the right moment; nothing if the moment never comes."""
        injury = next((injury for injury in self.injuries if injury.kind.step == step), None)
        if injury is None or not injury.kind.strikes:
            return
        self._until(lambda: moment() or self._state(step) in _ENDED, injury.kind.text)
        if not moment():
            return
        self._place.over.wait(after)
        injury.done = self._hit(injury.kind)
        self._tell(injury.kind.text if injury.done else f"too late: {injury.kind.text}", step)

    def _hit(self, kind: Kind) -> bool:
        if kind.clears:
            return self._clear(kind.clears)
        if kind.fails:
            return self._end_build("FAILED")
        stack, run_id = self._place.stack, self.plan.run_id
        try:
            if kind.kills == "server":
                self._place.server.die_and_return()
            elif kind.kills == "worker":
                self._ask(lambda _: stack.kill_task(self.dag_id, run_id, kind.step))
            elif kind.kills == "supervisor":
                self._ask(lambda _: stack.kill_supervisor(self.dag_id, run_id, kind.step))
            else:
                self._place.replace(str(kind.kills))
        except (ProcessLookupError, psutil.NoSuchProcess):
            return False
        return True

    def _clear(self, task_id: str, *, downstream: bool = False) -> bool:
        """Clear a task, and write down what it was doing; with `downstream`, all after it, too."""
        # An answer that is lost with its API server would make this clear the task twice.
        with self._place.component_away:
            cleared = STEPS[STEPS.index(task_id) :] if downstream else (task_id,)
            for each in cleared:
                task = self._task(each)
                self.clears.append(Clear(each, int(task["try_number"]), ran=task["state"] == "running"))
            self._ask(lambda client: client.clear(self.dag_id, self.plan.run_id, task_id, downstream=downstream))
        return True

    def _end_build(self, status: str) -> bool:
        try:
            self._place.server.ask(lambda control: control.end_build(self._build_id, status))
        except ControlError:
            return False
        return True

    def _waiting(self, step: str) -> Callable[[], bool]:
        """Return what tells that a task waits for the build: it asks how that is, or has left it to the triggerer."""
        kind = self.plan.faults.get(step)
        if kind is not None and kind.fault is not None:
            return lambda: self._open("GET", f"/api/v1/builds/{self._build_id}")
        return lambda: self._state(step) == "deferred"

    def _starting(self) -> bool:
        requests = self._place.server.requests("POST", "/api/v1/builds")
        return any(r["seconds"] is None and self._is_mine(r["body"] or {}) for r in requests)

    def _deploying(self) -> bool:
        requests = self._place.server.requests("POST", "/api/v1/build_deployments")
        return any(r["seconds"] is None and (r["body"] or {}).get("build_id") == self._build_id for r in requests)

    def _open(self, method: str, path: str) -> bool:
        return any(request["seconds"] is None for request in self._place.server.requests(method, path))

    def _newest_build(self) -> int | None:
        builds = self._place.server.ask(lambda control: control.builds())
        return max((int(build["id"]) for build in builds if self._is_mine(build)), default=None)

    def _is_mine(self, build: Mapping[str, Any]) -> bool:
        return f"run {self.plan.run_id} " in str(build.get("description"))

    def _state(self, step: str) -> str | None:
        state: str | None = self._task(step)["state"]
        return state

    def _task(self, step: str) -> dict[str, Any]:
        return self._ask(lambda client: client.task_instance(self.dag_id, self.plan.run_id, step))

    def _wait_for(self, step: str) -> None:
        self._until(lambda: self._state(step) in _ENDED, f"the end of {step}")

    def _ask(self, question: Callable[[AirflowClient], T]) -> T:
        """Ask Airflow something, more than once if need be: its SQLite has one writer, and chaos kills its API server.

        :raises AirflowApiError: it refuses, or fails for longer than that takes.
        """
        deadline = time.monotonic() + BUSY
        while True:
            try:
                return question(self._client)
            except AirflowApiError as error:
                if (error.status or 500) < 500 or time.monotonic() > deadline:
                    raise
            self._place.over.wait(LOOK_INTERVAL)

    def _until(self, condition: Callable[[], T | None], what: str) -> T:
        """Wait for something, as long as the run lasts.

        :raises RunOverError: the run has ended.
        :raises LostNightError: the night is too long, or all are to go home.
        """
        while True:
            if found := condition():
                return found
            if time.monotonic() - self._looked > RUN_INTERVAL:
                self._looked = time.monotonic()
                run = self._ask(lambda client: client.run(self.dag_id, self.plan.run_id))
                if run["state"] in FINAL_RUN_STATES:
                    raise RunOverError
            if time.monotonic() > self._deadline:
                self._tell("LOST", f"still waiting for {what}")
                raise LostNightError
            if self._place.over.wait(LOOK_INTERVAL):
                raise LostNightError
