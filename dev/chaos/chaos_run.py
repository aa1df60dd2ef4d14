"""One DAG run of the chain: follows it from step to step and injects the faults of its plan."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timezone
from functools import partial
from typing import Any, TypeVar

import psutil

from dev.chaos.actions import ACTIONS
from dev.chaos.environment import DAG_ID, WAITING_DAG_ID, Environment
from dev.chaos.evidence import Clear, belongs_to
from dev.chaos.fault_catalog import AFTER_RUN, DELAY_BEFORE_WORK, STEPS, Fault
from dev.chaos.injections import Injections
from dev.chaos.plan import RunPlan
from dev.stack.rest import FINAL_RUN_STATES, AirflowApiError, AirflowClient
from mkw_airflow_provider.emulator.control import ControlError

T = TypeVar("T")

#: Seconds after which a run that has not ended counts as hanging.
RUN_TIMEOUT = 420.0
CHECK_INTERVAL = 0.4
RUN_CHECK_INTERVAL = 1.5
#: Seconds that Airflow's database may be busy or its API server down.
AIRFLOW_TIMEOUT = 150.0
#: Size in bytes of the file that is slow where the plan says so, and seconds until a kill interrupts it.
FILE_SIZE = 400_000
FILE_SECONDS = 1.5

Report = Callable[[str, str, str], None]
"""Called for each event: which run, what happened, and where."""

_ENDED = frozenset({"success", "failed", "upstream_failed", "skipped", "removed"})


class RunEndedError(Exception):
    """The run has ended, so what was waited for will not happen."""


class RunTimeoutError(Exception):
    """The run did not end in time."""


class ChaosRun:
    """A DAG run of the chain with its faults.

    :param plan: what is to happen to it.
    :param report: called for each kill and each clear.
    """

    def __init__(self, environment: Environment, plan: RunPlan, report: Report) -> None:
        self.plan = plan
        self.dag_id = WAITING_DAG_ID if plan.start_waits else DAG_ID
        self.injections = Injections(environment.emulator)
        self.clears: list[Clear] = []
        #: Whether the run did not end in time.
        self.timed_out = False
        self._environment = environment
        self._report = partial(report, plan.run_id)
        self._build_id = 0
        self._file_id = 0
        self._last_run_check = 0.0
        self._deadline = 0.0

    def run(self) -> None:
        """Trigger the DAG run, inject its faults, and return when it has ended."""
        self._client = self._environment.new_client()
        self._deadline = time.monotonic() + RUN_TIMEOUT
        try:
            for part in (self._run_chain, self._act_after_run):
                with contextlib.suppress(RunEndedError):
                    part()
        except RunTimeoutError:
            self.timed_out = True
        self.injections.count()

    def _run_chain(self) -> None:
        fault = self.plan.faults.get("start_build")
        with self._environment.start_lock, self._switched(fault):
            self._start()
        self._wait_for("start_build")
        self._choose_file()
        self._prepare("wait_for_build", "GET", f"/api/v1/builds/{self._build_id}")
        self._prepare("download_build", "GET", f"/api/v1/downloads/{self._file_id}")
        self._act_during("wait_for_build", self._wait_condition("wait_for_build"))
        if self.plan.build_status == "CANCELED":
            self._cancel()
        self._wait_for("wait_for_build")
        self.injections.remove("wait_for_build")
        file_is_open = partial(self._is_open, "GET", f"/api/v1/downloads/{self._file_id}")
        self._act_during("download_build", file_is_open, delay=FILE_SECONDS)
        for step in ("deploy_build", "deploy_to_agent"):
            if step in self.plan.faults:
                # Its pool has one slot: the next request to deploy is this task's.
                self._until(partial(self._is_in, step, "queued", "running"), step)
                self._prepare(step, "POST", "/api/v1/build_deployments")
                self._act_during(step, self._is_deploying)
        self._until(lambda: False, "the end of the run")

    @contextlib.contextmanager
    def _switched(self, fault: Fault | None) -> Iterator[None]:
        """Set the emulator's switches of a fault, and reset them in the end."""
        switches = dict(fault.switches) if fault else {}
        call = self._environment.emulator.call
        before = call(lambda control: control.switches())
        if switches:
            call(lambda control: control.set(**switches))
        try:
            yield
        finally:
            if switches:
                call(lambda control: control.set(**{name: before[name] for name in switches}))

    def _start(self) -> None:
        if self._environment.stopped.is_set():
            raise RunTimeoutError
        self._prepare("start_build", "POST", "/api/v1/builds")
        self._trigger()
        fault = self.plan.faults.get("start_build")
        if fault is not None and fault.start_waits:
            self._build_id = self._until(self._newest_build, "a build")
            if fault.response is not None:
                self._environment.emulator.add_fault("GET", f"/api/v1/builds/{self._build_id}", DELAY_BEFORE_WORK)
            self._act_during("start_build", self._wait_condition("start_build"))
        else:
            self._act_during("start_build", self._is_starting)
        if fault is not None and (fault.clears or fault.action or fault.switches):
            # Another request to build may follow: the lock is held until then.
            self._wait_for("start_build")
        else:
            # Where the response was lost and no build was made, another request follows: the lock is held until then.
            self._until(self._newest_build, "a build")

    def _trigger(self) -> None:
        # The instance decides how the build ends.
        instance = "BROKEN_VIEW" if self.plan.build_status == "FAILED" else "AIRPLANE"
        try:
            self._call(lambda client: client.trigger(self.dag_id, {"instance": instance}, run_id=self.plan.run_id))
        except AirflowApiError as error:
            # An earlier attempt created the run though its response said otherwise.
            if error.status != 409:
                raise
        self._report("triggered", f"its build will be {self.plan.build_status}")

    def _choose_file(self) -> None:
        """Read the build that the chain continues with, and make one of its files large."""
        self._build_id = self._until(self._newest_build, "a build")
        downloads = self._environment.emulator.call(lambda control: control.downloads())
        self._file_id = next(download["id"] for download in downloads if download["build_id"] == self._build_id)
        self._environment.emulator.call(lambda control: control.set_download(self._file_id, size=FILE_SIZE))

    def _cancel(self) -> None:
        self._until(partial(self._is_in, "wait_for_build", "deferred"), "the wait")
        if not self._end_build("CANCELED"):
            self._report("not canceled", "the build had already ended")

    def _act_after_run(self) -> None:
        """Clear a task of the run that has ended, or what else the plan says, and wait for the end again."""
        fault = self.plan.faults.get(AFTER_RUN)
        if fault is None:
            return
        builds_again = fault.clears in (None, "start_build")
        with self._environment.start_lock if builds_again else contextlib.nullcontext():
            self._act(fault, downstream=builds_again)
            self.injections.add_done(fault)
            self._report(fault.text, AFTER_RUN)
            if builds_again:
                self._wait_for("start_build")
        self._until(lambda: False, "the end of the run after the clear")

    def _prepare(self, step: str, method: str, path: str) -> None:
        """Add the fault of a step to the emulator, if the plan has one."""
        if (fault := self.plan.faults.get(step)) is not None:
            self.injections.add(fault, method, path)

    def _act_during(self, step: str, condition: Callable[[], bool], delay: float = 0.0) -> None:
        """Kill or clear what the plan says when a condition holds; nothing if that never happens."""
        injection = self.injections.find(step)
        if injection is None or not injection.fault.needs_moment:
            return
        self._until(lambda: condition() or self._is_in(step, *_ENDED), injection.fault.text)
        if not condition():
            return
        self._environment.stopped.wait(delay)
        injection.done = self._act(injection.fault)
        self._report(injection.fault.text if injection.done else f"too late: {injection.fault.text}", step)

    def _act(self, fault: Fault, *, downstream: bool = False) -> bool:
        """Do what a fault says; return False if it came too late."""
        if fault.action in ACTIONS:
            ACTIONS[fault.action](self._environment)
        elif fault.action and not getattr(self, f"_{fault.action}")():
            return False
        if fault.clears:
            self.clear(fault.clears, downstream=downstream)
        return self._kill(fault) if fault.kills else True

    def _kill(self, fault: Fault) -> bool:
        stack, run_id = self._environment.stack, self.plan.run_id
        try:
            if fault.kills == "server":
                self._environment.emulator.kill_and_restart()
            elif fault.kills == "worker":
                self._call(lambda _: stack.kill_task(self.dag_id, run_id, fault.step))
            elif fault.kills == "supervisor":
                self._call(lambda _: stack.kill_supervisor(self.dag_id, run_id, fault.step))
            else:
                self._environment.replace(str(fault.kills))
        except (ProcessLookupError, psutil.NoSuchProcess):
            return False
        return True

    def clear(self, task_id: str, *, downstream: bool = False) -> None:
        """Clear a task and record its state; with `downstream`, all tasks after it, too."""
        # A response that is lost with the API server would make this clear the task twice.
        with self._environment.component_lock:
            self._record_clears(STEPS[STEPS.index(task_id) :] if downstream else (task_id,))
            self._call(lambda client: client.clear(self.dag_id, self.plan.run_id, task_id, downstream=downstream))

    def _record_clears(self, task_ids: tuple[str, ...], *, deleted: bool = False) -> None:
        for task_id in task_ids:
            at = datetime.now(timezone.utc)
            task = self._task(task_id)
            self.clears.append(Clear(task_id, at, task["state"], int(task["try_number"]), deleted))

    def _recreate(self) -> bool:
        """Delete the run and create it again under the same id."""
        with self._environment.component_lock:
            self._record_clears(STEPS, deleted=True)
            self._call(lambda client: client.delete_run(self.dag_id, self.plan.run_id))
            self._trigger()
        return True

    def _clear_waiting_runs(self) -> bool:
        """Clear `start_build` of all runs whose build is running, as people do after an outage."""
        waiting = [run for run in self._environment.runs if run.is_waiting()]
        for run in waiting:
            run.clear("start_build", downstream=True)
        return self in waiting

    def is_waiting(self) -> bool:
        """Whether the build is running and the sensor is deferred."""
        if not self._build_id or not self._is_in("wait_for_build", "deferred"):
            return False
        builds = self._environment.emulator.call(lambda control: control.builds())
        return any((build["id"], build["status"]) == (self._build_id, "BUILDING") for build in builds)

    def _fail_build(self) -> bool:
        return self._end_build("FAILED")

    def _end_build(self, status: str) -> bool:
        try:
            self._environment.emulator.call(lambda control: control.end_build(self._build_id, status))
        except ControlError:
            return False
        return True

    def _wait_condition(self, step: str) -> Callable[[], bool]:
        """Return what tells that a task waits for the build: its poll is open, or it is deferred."""
        fault = self.plan.faults.get(step)
        if fault is not None and fault.response is not None:
            return partial(self._is_open, "GET", f"/api/v1/builds/{self._build_id}")
        return partial(self._is_in, step, "deferred")

    def _is_starting(self) -> bool:
        requests = self._environment.emulator.requests("POST", "/api/v1/builds")
        return any(r["seconds"] is None and self._is_mine(r["body"] or {}) for r in requests)

    def _is_deploying(self) -> bool:
        requests = self._environment.emulator.requests("POST", "/api/v1/build_deployments")
        return any(r["seconds"] is None and (r["body"] or {}).get("build_id") == self._build_id for r in requests)

    def _is_open(self, method: str, path: str) -> bool:
        return any(request["seconds"] is None for request in self._environment.emulator.requests(method, path))

    def _newest_build(self) -> int | None:
        builds = self._environment.emulator.call(lambda control: control.builds())
        return max((int(build["id"]) for build in builds if self._is_mine(build)), default=None)

    def _is_mine(self, build: Mapping[str, Any]) -> bool:
        return belongs_to(build, self.plan.run_id)

    def _is_in(self, step: str, *states: str) -> bool:
        return self._task(step)["state"] in states

    def _task(self, step: str) -> dict[str, Any]:
        return self._call(lambda client: client.task_instance(self.dag_id, self.plan.run_id, step))

    def _wait_for(self, step: str) -> None:
        self._until(partial(self._is_in, step, *_ENDED), f"the end of {step}")

    def _call(self, function: Callable[[AirflowClient], T]) -> T:
        """Call Airflow, retrying: its SQLite database has one writer, and chaos kills its API server.

        :raises AirflowApiError: it refuses, or fails for longer than a restart takes.
        """
        deadline = time.monotonic() + AIRFLOW_TIMEOUT
        while True:
            try:
                return function(self._client)
            except AirflowApiError as error:
                if (error.status or 500) < 500 or time.monotonic() > deadline:
                    raise
            self._environment.stopped.wait(CHECK_INTERVAL)

    def _until(self, condition: Callable[[], T | None], what: str) -> T:
        """Wait for a condition, as long as the run lasts.

        :raises RunEndedError: the run has ended.
        :raises RunTimeoutError: the run takes too long, or all runs are to end.
        """
        while True:
            if found := condition():
                return found
            if time.monotonic() - self._last_run_check > RUN_CHECK_INTERVAL:
                self._last_run_check = time.monotonic()
                run = self._call(lambda client: client.run(self.dag_id, self.plan.run_id))
                if run["state"] in FINAL_RUN_STATES:
                    raise RunEndedError
            if time.monotonic() > self._deadline:
                self._report("TIMEOUT", f"still waiting for {what}")
                raise RunTimeoutError
            if self._environment.stopped.wait(CHECK_INTERVAL):
                raise RunTimeoutError
