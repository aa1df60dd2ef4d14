"""A task's wait for a build: in the worker, in the triggerer, and with one end for every way in which it can end."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from airflow.providers.common.compat.sdk import AirflowTaskTimeout

from mkw_airflow_provider.client.text import foreign_text
from mkw_airflow_provider.exceptions import (
    ApiError,
    ConfigurationError,
    ConnectionFailedError,
    MetaKraftwerkError,
    ProtocolError,
    WaitInterruptedError,
    is_final,
)
from mkw_airflow_provider.operators import runtime
from mkw_airflow_provider.operators.base import FAILURES, MetaKraftwerkOperator
from mkw_airflow_provider.version_compat import FAILED_DEFERRAL, TRIGGER_TIMEOUT

if TYPE_CHECKING:
    from mkw_airflow_provider.client.api.builds import Build
    from mkw_airflow_provider.client.flows.wait_result import Ended, WaitResult

__all__ = ["BuildWait", "BuildWaitOperator", "Limit", "MetaKraftwerkOperator"]


class Limit(NamedTuple):
    """When a wait must end.

    :param source: ``timeout`` or ``execution_timeout``.
    :param deadline: seconds since the epoch.
    """

    source: str
    deadline: float


class BuildWait:
    """One task's wait for one build.

    :param task: the operator that waits.
    :param build_id: the build.
    :param limit: when the wait must end; None: never.
    :param own: this task started the build, so it exists even if the server does not show it yet.
    """

    def __init__(self, task: BuildWaitOperator, build_id: int, limit: Limit | None, *, own: bool = False) -> None:
        self.task = task
        self.build_id = build_id
        self.limit = limit
        self.own = own

    @property
    def is_over(self) -> bool:
        """Whether the time for waiting is over."""
        return self.limit is not None and time.time() >= self.limit.deadline

    def run(self, context: Any) -> WaitResult:
        """Poll once, for the build may have ended already; then wait, in the triggerer if the task is deferrable.

        :raises TaskDeferred: to wait in the triggerer.
        """
        try:
            build = self._first_poll()
        except AirflowTaskTimeout:
            return runtime.wait_result.TimedOut(self.build_id, "execution_timeout", None)
        except MetaKraftwerkError as error:
            return runtime.wait_result.Failed(self.build_id, error)
        self.task.announce_build(context, self.build_id, None if build is None else build.project_id)
        if build is not None:
            self.task.inspect(context, build)
        if build is not None and build.has_ended:
            return runtime.wait_result.Ended(build)
        return self._wait(min(runtime.polling.FLOOR, self.task.longest_pause), exists=self.own or build is not None)

    def run_again(self) -> WaitResult:
        """Wait on after a poll that failed."""
        return self._wait(self.task.longest_pause, exists=self.own)

    def _poll(self) -> Build:
        """Read the build with one request."""
        hook = self.task.hook
        return hook.run(runtime.wait.read_build(hook.session, self.build_id, until=time.time()))

    def _first_poll(self) -> Build | None:
        """Return the build; None if the server cannot show it now, which is for the wait to sit out within its time."""
        try:
            return self._poll()
        except (ApiError, ConnectionFailedError, ProtocolError) as error:
            if is_final(error) and not (self.own and isinstance(error, ApiError) and error.status == 404):
                raise
            self.task.log.info("Build %s cannot be read yet: %s", self.build_id, error)
        return None

    def _wait(self, first_pause: float, *, exists: bool) -> WaitResult:
        history = runtime.wait.PollHistory()
        try:
            if self.task.deferrable:
                self._defer()
            flow = runtime.wait.wait(
                self.task.hook.session,
                self.build_id,
                poll_interval=self.task.longest_pause,
                deadline=None if self.limit is None else self.limit.deadline,
                limit=None if self.limit is None else self.limit.source,
                first_pause=first_pause,
                exists=exists,
                history=history,
            )
            return self.task.hook.run(flow)
        except AirflowTaskTimeout:
            return runtime.wait_result.TimedOut(self.build_id, "execution_timeout", history.last_seen())
        except MetaKraftwerkError as error:
            return runtime.wait_result.Failed(self.build_id, error)

    def _defer(self) -> NoReturn:
        settings, timeout = self.task.hook.settings, None
        if self.limit is not None:
            # The trigger keeps the deadline. Airflow's own timeout comes later than the trigger's longest last poll.
            grace = settings.outage_tolerance + settings.connect_timeout + settings.read_timeout + 60.0
            timeout = timedelta(seconds=max(0.0, self.limit.deadline - time.time()) + grace)
        self.task.log.info("Waiting for build %s in the triggerer.", self.build_id)
        trigger = runtime.trigger.BuildTrigger(
            metakraftwerk_conn_id=self.task.metakraftwerk_conn_id,
            build_id=self.build_id,
            poll_interval=self.task.longest_pause,
            deadline=None if self.limit is None else self.limit.deadline,
            limit=None if self.limit is None else self.limit.source,
            outage_tolerance=settings.outage_tolerance,
            end_from_trigger=self.task.end_from_trigger,
        )
        self.task.defer(trigger=trigger, method_name="execute_complete", timeout=timeout)

    def conclude(self, event: Any, limited_by: str | None) -> WaitResult:
        """Return what the event of a trigger says. If it says nothing about the build, read the build.

        :param limited_by: the argument that limits the wait, where the event does not say.
        """
        if isinstance(event, Mapping) and "history" in event:
            self.task.log.info("%s", runtime.wait.PollHistory.describe(self.build_id, event["history"]))
        result = runtime.wait_result.from_dict(event, self.build_id)
        if isinstance(result, runtime.wait_result.TimedOut) and result.limit is None:
            return runtime.wait_result.TimedOut(self.build_id, limited_by, result.last_seen, result.cause)
        if isinstance(result, runtime.wait_result.Failed) and isinstance(result.error, WaitInterruptedError):
            return self.after_interruption(str(result.error))
        return result

    def after_interruption(self, reason: str) -> WaitResult:
        """Read the build after the wait ended for a reason that has nothing to do with it.

        :return: ``Ended`` if the build has ended; else ``Failed`` with an error that says how the build is.
        """
        build, problem = self._read_now()
        if build is not None and build.has_ended:
            self.task.log.warning("The wait for build %s was interrupted: %s", self.build_id, reason)
            return runtime.wait_result.Ended(build)
        if build is None:
            state = f"The state of build {self.build_id} is unknown, because it could not be read now: {problem}"
        else:
            status = runtime.wait_result.describe_status(str(build.status), build.progress)
            state = f"Build {self.build_id} is still running ({status}), because the API cannot cancel builds"
        return runtime.wait_result.Failed(self.build_id, WaitInterruptedError(f"{reason.rstrip('.')}. {state}"))

    def after_trigger_timeout(self, limited_by: str) -> WaitResult:
        """Read the build after Airflow's own timeout of the deferral: status first, deadline second."""
        self.task.log.warning("Airflow ended the deferral because no trigger sent an event in time.")
        build, problem = self._read_now()
        if build is None:
            return runtime.wait_result.TimedOut(self.build_id, limited_by, None, problem)
        if build.has_ended:
            return runtime.wait_result.Ended(build)
        return runtime.wait_result.TimedOut(
            self.build_id, limited_by, runtime.wait_result.describe_status(str(build.status), build.progress)
        )

    def _read_now(self) -> tuple[Build | None, str]:
        """Read the build. Whatever goes wrong is returned as text: another error comes first here."""
        try:
            return self._poll(), ""
        except AirflowTaskTimeout:
            return None, "`execution_timeout` was over before the server responded"
        except Exception as error:
            return None, str(error)


class BuildWaitOperator(MetaKraftwerkOperator):
    """An operator that waits for a build. Subclasses say in :meth:`_finish` what each end means to them."""

    deferrable: bool
    #: Whether the triggerer ends the task itself once the build is FINISHED.
    end_from_trigger = False
    _build_wait: BuildWait | None = None
    _ended: Build | None = None

    @property
    def wait_timeout(self) -> float | None:
        """Seconds after which the wait itself ends; None: never."""
        raise NotImplementedError

    @property
    def longest_pause(self) -> float:
        """The longest pause between two polls, in seconds."""
        raise NotImplementedError

    def awaited_build_id(self, context: Any) -> int:
        """Return the id of the build that a deferred task waits for."""
        raise NotImplementedError

    def inspect(self, context: Any, build: Build) -> None:
        """Check what the first poll of a wait shows."""

    def _finish(self, result: WaitResult) -> Any:
        """Turn the end of a wait into the task's result, or raise what it means. Every wait ends here."""
        raise NotImplementedError

    def conclude(self, context: Any, result: WaitResult) -> Any:
        """Return the task's result at the end of a wait, and publish it."""
        value = self._finish(result)
        if self._ended is not None:
            self.publish(context, build_id=self._ended.id, status=self._ended.status)
        return value

    def log_end(self, result: Ended) -> None:
        """Log how the build ended: the last line of the task on every path."""
        self._ended = result.build
        if result.build.status == "FINISHED":
            self.log.info("%s", result.message())
        else:
            self._last_line = result.message()

    def wait_for(self, build_id: int, context: Any, *, own: bool = False) -> Any:
        """Wait for a build and finish the task.

        :param own: see :class:`BuildWait`.
        """
        self._build_wait = BuildWait(self, build_id, self._limit(context), own=own)
        return self.conclude(context, self._build_wait.run(context))

    def execute_complete(self, context: Any, event: Any = None, **kwargs: Any) -> Any:
        """Finish the task in a worker after the wait in the triggerer.

        :param event: the payload of :class:`~mkw_airflow_provider.triggers.build.BuildTrigger`.
        :param kwargs: ``limited_by``, the argument that limits the wait, in rows of version 0.1.
        """
        try:
            return self._resume("execute_complete", {"event": event, **kwargs}, context)
        except FAILURES as error:
            failure, cause = self.conclude_failure(error)
            raise failure from cause

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Any) -> Any:
        """Resume after a deferral. A deferral that Airflow failed ends as every other wait does."""
        kwargs = {str(name): value for name, value in (next_kwargs or {}).items()}
        try:
            return self._resume(next_method, kwargs, context)
        except FAILURES as error:
            failure, cause = self.conclude_failure(error)
            raise failure from cause

    def _resume(self, next_method: str, kwargs: dict[str, Any], context: Any) -> Any:
        """Finish the task after a deferral.

        :param next_method: Airflow's own name for a deferral that it failed; whatever else it is, another version of
            this package may have named it.
        """
        self.replace_undefined()
        if next_method != FAILED_DEFERRAL:
            event, limited_by = kwargs.get("event"), kwargs.get("limited_by") or self._shorter_limit()
            return self.conclude(context, self._find_wait(context, event, limited_by).conclude(event, limited_by))
        reason = foreign_text(str(kwargs.get("error") or "Trigger failure"))
        wait = self._find_wait(context, None, self._shorter_limit())
        if reason == TRIGGER_TIMEOUT:
            return self.conclude(context, wait.after_trigger_timeout(self._shorter_limit()))
        traceback = kwargs.get("traceback")
        lines = "\n".join(map(str, traceback)) if isinstance(traceback, list) else str(traceback or "")
        if lines.strip():
            self.log.warning("Airflow failed the deferral:\n%s", lines)
            reason = f"{reason}: {foreign_text(lines.strip().splitlines()[-1])}"
        return self.conclude(context, wait.after_interruption(f"Airflow failed the deferral ({reason})"))

    def _find_wait(self, context: Any, event: Any, limited_by: str) -> BuildWait:
        found = event if isinstance(event, Mapping) else {}
        build_id, deadline = found.get("build_id"), found.get("deadline")
        if not isinstance(build_id, int) or isinstance(build_id, bool) or build_id < 1:
            try:
                build_id = self.awaited_build_id(context)
            except ConfigurationError as error:
                raise WaitInterruptedError(
                    f"the wait was interrupted, and the id of its build is not known here: {error}. "
                    "The build is still running if it has not ended"
                ) from error
        limit = None
        if isinstance(deadline, (int, float)) and not isinstance(deadline, bool):
            limit = Limit(str(found.get("limit") or limited_by), float(deadline))
        self._build_wait = BuildWait(self, build_id, limit, own=True)
        return self._build_wait

    def _limit(self, context: Any) -> Limit | None:
        """Return the earlier one of the wait's own timeout and ``execution_timeout``; None without either.

        Airflow 3 does not enforce ``execution_timeout`` while a task is deferred, so the trigger does.
        """
        now = time.time()
        started = getattr((context or {}).get("ti"), "start_date", None)
        limits = []
        if self.execution_timeout is not None:
            began = started.timestamp() if started is not None else now
            limits.append(Limit("execution_timeout", began + self.execution_timeout.total_seconds()))
        if self.wait_timeout is not None:
            limits.append(Limit("timeout", now + self.wait_timeout))
        return min(limits, key=lambda limit: limit.deadline, default=None)

    def _shorter_limit(self) -> str:
        """Return which timeout is the shorter one, for where Airflow lost what the trigger knew."""
        execution = self.execution_timeout.total_seconds() if self.execution_timeout is not None else float("inf")
        return "timeout" if self.wait_timeout is not None and self.wait_timeout <= execution else "execution_timeout"

    def on_kill(self) -> None:
        """Log that the build is still running. Reads no connection and takes no lock; there is nothing to stop."""
        with suppress(Exception):
            if self._build_wait is not None:
                self.log.warning(
                    "Killed. Build %s is still running, because the API cannot cancel builds.",
                    self._build_wait.build_id,
                )
