"""What the operator and the sensor share: a wait for a build, deferred or not, that ends alike in both."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from airflow.providers.common.compat.sdk import AirflowTaskTimeout

from mkw_airflow_provider.exceptions import (
    ApiError,
    BuildTimeoutError,
    ConnectionFailedError,
    MetaKraftwerkError,
    ProtocolError,
    is_final,
)
from mkw_airflow_provider.operators.base import MetaKraftwerkOperator
from mkw_airflow_provider.operators.without_worker import can_end

if TYPE_CHECKING:
    from mkw_airflow_provider.client.api.builds import Build
    from mkw_airflow_provider.client.flows.wait import PollHistory

#: What Airflow calls instead of the method that a deferred task named, when the deferral failed.
FAILED_DEFERRAL = "__fail__"
TRIGGER_TIMEOUT = "Trigger timeout"


class Limit(NamedTuple):
    """When a wait must end.

    :param source: ``timeout`` or ``execution_timeout``.
    :param deadline: seconds since the epoch.
    """

    source: str
    deadline: float


class BuildWaitOperator(MetaKraftwerkOperator):
    """An operator that waits for a build. Subclasses say what an end and a time-out mean to them."""

    deferrable: bool
    #: What the task returns, in the words of :class:`~mkw_airflow_provider.triggers.without_worker.EndingTrigger`.
    returns: str
    _build_id: int | None = None

    @property
    def wait_timeout(self) -> float | None:
        """Seconds after which the wait itself ends; None: never."""
        raise NotImplementedError

    @property
    def longest_pause(self) -> float:
        """The longest pause between two looks, in seconds."""
        raise NotImplementedError

    def after_timeout(self, source: str) -> str:
        """Return what comes after a time-out, as a sentence.

        :param source: ``timeout`` or ``execution_timeout``.
        """
        raise NotImplementedError

    def concluded(self, build: Build) -> Any:
        """Return the task's result for a build that has ended, or raise what its end means.

        :raises BuildFailedError: or what the subclass makes of it.
        """
        raise NotImplementedError

    def timed_out(self, error: BuildTimeoutError | AirflowTaskTimeout) -> NoReturn:
        """Raise what the end of ``timeout`` or ``execution_timeout`` means."""
        raise NotImplementedError

    def limit(self, context: Any) -> Limit | None:
        """Return the earlier one of the wait's own time-out and ``execution_timeout``; None without either.

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

    def wait_for(self, build_id: int, limit: Limit | None, pause: float | None = None) -> Any:
        """Wait for a build, in the triggerer or here.

        :param pause: seconds to wait before the first look; None: look at once, for it may have ended already.
        :return: what :meth:`concluded` makes of its end.
        """
        from mkw_airflow_provider.client.flows.polling import FLOOR
        from mkw_airflow_provider.client.flows.wait import PollHistory, wait

        history = PollHistory()
        try:
            build = self._first_look(build_id) if pause is None else None
            if build is None or not build.has_ended:
                if self.deferrable:
                    self.put_away(build_id, limit)
                flow = wait(
                    self.hook.session,
                    build_id,
                    poll_interval=self.longest_pause,
                    deadline=None if limit is None else limit.deadline,
                    first_pause=min(FLOOR, self.longest_pause) if pause is None else pause,
                    history=history,
                )
                build = self.hook.run(flow)
        except AirflowTaskTimeout:
            self.say_time_out(_overdue(build_id, history), "execution_timeout")
        except MetaKraftwerkError as error:
            self._break_off(error, "timeout" if limit is None else limit.source)
        return self.concluded(build)

    def _first_look(self, build_id: int) -> Build | None:
        """Return the build; None if the server is out of reach, which is for the wait to sit out, within its time."""
        from mkw_airflow_provider.client.api.builds import get_build

        try:
            return self.hook.run(self.hook.session.request(get_build(build_id), until=time.time()))
        except (ApiError, ConnectionFailedError, ProtocolError) as error:
            if is_final(error):
                raise
            self.log.info("Build %s cannot be looked at yet: %s", build_id, error)
        return None

    @property
    def ends_with(self) -> str:
        """What the triggerer ends this task with, where no worker has to end it."""
        return self.returns if self.do_xcom_push else "nothing"

    def put_away(self, build_id: int, limit: Limit | None) -> NoReturn:
        """Defer: leave the worker, and wait in the triggerer."""
        # Here and not above: a DAG file that only names the operator must not pay for it.
        from mkw_airflow_provider.triggers.build import BuildTrigger
        from mkw_airflow_provider.triggers.without_worker import EndingTrigger

        backstop = None
        if limit is not None:
            settings = self.hook.settings
            # The trigger keeps the deadline. Airflow's own time-out comes later than the trigger's longest last look.
            grace = settings.outage_tolerance + settings.connect_timeout + settings.read_timeout + 60.0
            backstop = timedelta(seconds=max(0.0, limit.deadline - time.time()) + grace)
        self.log.info("Waiting for build %s in the triggerer.", build_id)
        arguments: dict[str, Any] = {
            "metakraftwerk_conn_id": self.metakraftwerk_conn_id,
            "build_id": build_id,
            "poll_interval": self.longest_pause,
            "deadline": None if limit is None else limit.deadline,
        }
        self.defer(
            trigger=EndingTrigger(**arguments, ends_with=self.ends_with)
            if can_end(self)
            else BuildTrigger(**arguments),
            method_name="execute_complete",
            kwargs={"limited_by": None if limit is None else limit.source},
            timeout=backstop,
        )

    def execute_complete(self, context: Any, event: dict[str, Any] | None = None, limited_by: str | None = None) -> Any:
        """Go on in a worker after the wait in the triggerer.

        :param event: the payload of :class:`~mkw_airflow_provider.triggers.build.BuildTrigger`.
        :param limited_by: which time-out was the earlier one.
        :raises ProtocolError: for an event that is none of its, which never passes for success.
        """
        from mkw_airflow_provider.client.api.builds import Build
        from mkw_airflow_provider.client.flows.wait import PollHistory

        outcome = event.get("outcome") if isinstance(event, dict) else None
        if not isinstance(event, dict) or outcome not in ("ended", "timeout", "error"):
            raise ProtocolError(
                f"the triggerer sent an unknown event, {event!r:.200}: how the build ended is not known. "
                "It goes on at the server if it has not ended"
            )
        self._build_id = event.get("build_id")
        self.log.info("%s", PollHistory.describe(event.get("build_id", 0), event.get("history") or {}))
        if outcome != "ended":
            self._break_off(MetaKraftwerkError.from_dict(event.get("error") or {}), limited_by or self._shorter())
        return self.concluded(Build.from_json(event.get("build")))

    def _break_off(self, error: MetaKraftwerkError, source: str) -> NoReturn:
        """Log why the wait ends before the build does, and raise it."""
        if isinstance(error, BuildTimeoutError):
            self.say_time_out(error, source)
        self.log.warning("The wait for build %s broke off: %s", self._build_id, error)
        raise error

    def _shorter(self) -> str:
        """Return which time-out is the shorter one, for where Airflow lost the deferral's arguments."""
        execution = self.execution_timeout.total_seconds() if self.execution_timeout is not None else float("inf")
        return "timeout" if self.wait_timeout is not None and self.wait_timeout <= execution else "execution_timeout"

    def say_time_out(self, error: BuildTimeoutError, source: str) -> NoReturn:
        """Log that the build goes on, and raise what a time-out means."""
        text = f"{str(error)[:1].upper()}{str(error)[1:]} {self.after_timeout(source)}"
        self.log.warning("%s", text)
        if source == "execution_timeout":
            self.timed_out(AirflowTaskTimeout(f"execution_timeout: {text}"))
        self.timed_out(BuildTimeoutError(error.build_id, text))

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Any) -> Any:
        """Go on after a deferral; a time-out of Airflow's own must still say what goes on at the server."""
        if next_method == FAILED_DEFERRAL and (next_kwargs or {}).get("error") == TRIGGER_TIMEOUT:
            next_method, next_kwargs = "trigger_timed_out", {}
        return super().resume_execution(next_method, next_kwargs, context)

    def trigger_timed_out(self, context: Any) -> Any:
        """Look at the build once more after the framework gave the trigger up, e.g. because no triggerer ran.

        Status first, deadline second: a build that has ended in the meantime is not reported as timed out.
        """
        from mkw_airflow_provider.client.api.builds import get_build

        build_id = self._build_id = self.watched_build_id(context)
        text = f"Airflow gave up waiting for build {build_id}, and no triggerer has said how it is"
        try:
            build = self.hook.run(self.hook.session.request(get_build(build_id), until=time.time()))
        except MetaKraftwerkError as error:
            text = f"{text}; it could not be asked now either: {error}"
        else:
            if build.has_ended:
                return self.concluded(build)
            text = f"{text}; now it is {build.status}"
        goes_on = "It goes on at the server, if it has not ended, for the API has no cancel."
        return self.say_time_out(BuildTimeoutError(build_id, f"{text}. {goes_on}"), self._shorter())

    def watched_build_id(self, context: Any) -> int:
        """Return the id of the build that a deferred task waited for."""
        raise NotImplementedError

    def log_end(self, build: Build) -> None:
        """Log how a build ended: the last line of the task, deferred or not."""
        from mkw_airflow_provider.client.flows.wait import ending

        self.log.info("%s", ending(build))

    def on_kill(self) -> None:
        """Say what goes on: the API has no cancel."""
        if self._build_id is not None:
            self.log.warning("Killed. Build %s goes on at the server: the API has no cancel.", self._build_id)


def _overdue(build_id: int, history: PollHistory) -> BuildTimeoutError:
    """Return the time-out of a wait that Airflow's alarm cut short, in the words of one that ended by itself."""
    from mkw_airflow_provider.client.flows.wait import timeout_message

    return BuildTimeoutError(build_id, timeout_message(build_id, history.last_seen() or "not seen once"))
