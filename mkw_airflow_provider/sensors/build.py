"""The sensor that waits for a build that somebody else started."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
    BaseSensorOperator,
    PokeReturnValue,
    conf,
)

from mkw_airflow_provider.client.validation import fixed_flag, whole_number
from mkw_airflow_provider.exceptions import BuildError, BuildTimeoutError, ProtocolError
from mkw_airflow_provider.operators.build_wait import BuildWaitOperator, Limit
from mkw_airflow_provider.operators.template_checks import check_literal
from mkw_airflow_provider.operators.without_worker import OfEachTask
from mkw_airflow_provider.safe_values import safe_value
from mkw_airflow_provider.sensors.start import start_trigger_args, starts_in_triggerer

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import XComArg

    from mkw_airflow_provider.client.api.builds import Build

__all__ = ["BuildSensor"]


class BuildSensor(BuildWaitOperator, BaseSensorOperator):
    """Wait until a build is FINISHED. Returns the build as a dict.

    A FAILED or CANCELED build fails the task without retry, for it cannot change any more; with ``soft_fail`` it skips.

    :param build_id: id of the build; text of digits is accepted.
    :param deferrable: wait in the triggerer instead of in a worker.
    :param metakraftwerk_conn_id: id of the Airflow connection.
    :param poke_interval: the longest pause between two looks, in seconds; the sensor looks more often at the beginning
        and near the end, except in ``mode="reschedule"``.
    :param timeout: seconds to wait.
    :raises ConfigurationError: for a build id that is no number; when the DAG is read, if it is literal.
    """

    template_fields: Sequence[str] = ("build_id", "metakraftwerk_conn_id")
    ui_color = "#e3f0fb"
    returns = "build"
    start_from_trigger = OfEachTask(False, starts_in_triggerer)
    start_trigger_args = OfEachTask(None, start_trigger_args)
    # Asked for before they are set, by the base class.
    build_id: int | str | XComArg | None = None
    deferrable = False

    def __init__(
        self,
        *,
        build_id: int | str | XComArg,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        metakraftwerk_conn_id: str = "metakraftwerk_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.build_id = build_id
        self.deferrable = fixed_flag("deferrable", deferrable)
        self.metakraftwerk_conn_id = metakraftwerk_conn_id
        self._seen: Build | None = None
        check_literal(whole_number, build_id=build_id)

    @property
    def wait_timeout(self) -> float:
        """Seconds after which the wait itself ends."""
        return float(self.timeout)

    @property
    def longest_pause(self) -> float:
        """The longest pause between two looks; with ``exponential_backoff`` pauses grow up to ``max_wait``."""
        if self.exponential_backoff and self.max_wait is not None:
            return max(self.poke_interval, self.max_wait.total_seconds())
        return float(self.poke_interval)

    def after_timeout(self, source: str) -> str:
        """Return what waits on: Airflow retries after ``execution_timeout``, but not after a sensor's ``timeout``."""
        return "Clear this task to wait on." if source == "timeout" else "A retry or a cleared task waits on."

    def execute(self, context: Any) -> dict[str, Any]:
        """Wait for the build.

        :return: the finished build.
        :raises AirflowFailException: if it ended FAILED or CANCELED.
        :raises AirflowSensorTimeout: if the time is over; the build goes on.
        :raises AirflowSkipException: in either case with ``soft_fail``.
        """
        return self._begin(context)

    def _begin(self, context: Any) -> dict[str, Any]:
        build_id = self._build_id = self.read_build_id(self.build_id)
        if self.reschedule and not self.deferrable:
            return self._wait_rescheduled(context)
        limit = self.limit(context)
        build: dict[str, Any] = self._as_a_sensor(lambda: self.wait_for(build_id, limit), limit)
        return build

    def _wait_rescheduled(self, context: Any) -> dict[str, Any]:
        """Look once; if the build goes on, leave the worker until the next look. Airflow's own loop does that."""
        try:
            super().execute(context)
        except AirflowSensorTimeout:
            self.say_time_out(self._overdue(), "timeout")
        except AirflowTaskTimeout:
            self.say_time_out(self._overdue(), "execution_timeout")
        except AirflowSkipException as error:
            # The base class skips without a cause only where the time is over; what goes on must be said then, too.
            if error.__cause__ is None:
                self.say_time_out(self._overdue(), "timeout")
            self._skip_or_raise(error.__cause__)
        return self.concluded(self._seen)

    def poke(self, context: Any) -> PokeReturnValue:
        """Look at the build once.

        :raises AirflowFailException: if it ended FAILED or CANCELED.
        """
        from mkw_airflow_provider.client.flows.wait import age, standing

        build = self._seen = self.hook.get_build(self._build_id or self.read_build_id(self.build_id))
        self.log.info("%s", standing(build, age(build, time.time())))
        # A build with an end goes on no more, whatever the server calls that. What is FINISHED, `execute` concludes.
        if build.status not in ("BUILDING", "FINISHED") and (build.has_ended or build.build_end is not None):
            self.concluded(build)
        return PokeReturnValue(build.has_ended, safe_value(build.to_dict()))

    def execute_complete(self, context: Any, event: dict[str, Any] | None = None, limited_by: str | None = None) -> Any:
        """Go on in a worker after the wait in the triggerer; ends as a sensor that was not deferred does."""
        if isinstance(event, dict) and event.get("outcome") == "not started":
            return self._begin(context)
        limited_by = limited_by or self._shorter()
        deadline = event.get("deadline") if isinstance(event, dict) else None
        limit = None if deadline is None else Limit(limited_by, deadline)
        resume = super().execute_complete
        return self._as_a_sensor(lambda: resume(context, event, limited_by), limit)

    def trigger_timed_out(self, context: Any) -> Any:
        """Look at the build once more after the framework gave the trigger up; ends as any look does."""
        look = super().trigger_timed_out
        return self._as_a_sensor(lambda: look(context), None)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Any) -> Any:
        """Go on after a deferral; a skip says why, which Airflow 3 would hide in another one."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except AirflowSkipException as error:
            if isinstance(error.__cause__, AirflowSkipException):
                raise error.__cause__ from error.__cause__.__cause__
            raise

    def _as_a_sensor(self, step: Callable[[], Any], limit: Limit | None) -> Any:
        """Wait, and take a failure as Airflow takes that of a poke."""
        while True:
            try:
                return step()
            except AirflowSkipException:  # noqa: PERF203  # a turn takes as long as a wait
                raise
            except (AirflowFailException, AirflowSensorTimeout, AirflowTaskTimeout) as error:
                self._skip_or_raise(error)
            except Exception as error:
                if not self.silent_fail or self._build_id is None:
                    if self.never_fail:
                        self._skip_or_raise(error)
                    raise
                self.log.exception("The look at build %s failed; with silent_fail the wait goes on.", self._build_id)
                step = partial(self._wait_on, self._build_id, limit, str(error))

    def _wait_on(self, build_id: int, limit: Limit | None, failure: str) -> dict[str, Any]:
        if limit is not None and time.time() >= limit.deadline:
            text = (
                f"the time for waiting is over, and the last look at build {build_id} failed: {failure}. "
                "If it has not ended, it goes on at the server, for the API has no cancel."
            )
            self.say_time_out(BuildTimeoutError(build_id, text), limit.source)
        build: dict[str, Any] = self.wait_for(build_id, limit, self.longest_pause)
        return build

    def _skip_or_raise(self, error: BaseException) -> NoReturn:
        option = "soft_fail" if self.soft_fail else "never_fail" if self.never_fail else None
        if option is None:
            raise error
        raise AirflowSkipException(f"Skipping due to {option} is set to True. {error}") from error

    def concluded(self, build: Build | None) -> dict[str, Any]:
        """Return the finished build as a dict.

        :raises AirflowFailException: if it ended FAILED or CANCELED.
        """
        if build is None:
            raise ProtocolError("the sensor ended without having seen the build")
        self._seen = build
        self.log_end(build)
        try:
            return dict(safe_value(build.require_finished().to_dict()))
        except BuildError as error:
            text = f"{str(error).rstrip('.')}. A retry cannot change that: start another build"
            raise AirflowFailException(text) from error

    def timed_out(self, error: BuildTimeoutError | AirflowTaskTimeout) -> NoReturn:
        """Raise a time-out as Airflow's own; that of the sensor is not retried.

        :raises AirflowSensorTimeout: for ``timeout``, unless the sensor skips instead of failing.
        :raises AirflowTaskTimeout: for ``execution_timeout``, likewise.
        """
        self._skip_or_raise(AirflowSensorTimeout(str(error)) if isinstance(error, BuildTimeoutError) else error)

    def watched_build_id(self, context: Any) -> int:
        """Return the id of the build that this sensor waits for."""
        return self.read_build_id(self.build_id)

    def _overdue(self) -> BuildTimeoutError:
        from mkw_airflow_provider.client.flows.wait import last_seen, timeout_message

        build_id = self._build_id or 0
        # Earlier looks, in other workers, may have seen it.
        state = "not seen" if self._seen is None else last_seen(self._seen.status, self._seen.progress)
        return BuildTimeoutError(build_id, timeout_message(build_id, state))
