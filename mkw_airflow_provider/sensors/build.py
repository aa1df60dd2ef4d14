"""The sensor that waits for a build that somebody else started."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta
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

from mkw_airflow_provider.client.validation import fixed_flag, seconds, whole_number
from mkw_airflow_provider.exceptions import BuildError, MetaKraftwerkError, is_final
from mkw_airflow_provider.operators import runtime
from mkw_airflow_provider.operators.build_wait import BuildWait, BuildWaitOperator, Limit
from mkw_airflow_provider.operators.template_checks import check_literal
from mkw_airflow_provider.safe_values import safe_value
from mkw_airflow_provider.sensors.start import PerTask, start_from_trigger, start_trigger_args
from mkw_airflow_provider.typing import OperatorArguments, SensorMode

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import XComArg
    from typing_extensions import Unpack

    from mkw_airflow_provider.client.api.builds import Build
    from mkw_airflow_provider.client.flows.wait_result import Ended, Failed, WaitResult

__all__ = ["BuildSensor"]

#: As in Airflow's own sensors.
DEFAULT_TIMEOUT = conf.getfloat("sensors", "default_timeout", fallback=604_800.0)


class BuildSensor(BuildWaitOperator, BaseSensorOperator):
    """Wait until a build is FINISHED. Returns the build as a dict.

    A FAILED or CANCELED build fails the task without retry, because it cannot change any more; with ``soft_fail`` the
    task is skipped.

    :param build_id: id of the build; text of digits is accepted.
    :param deferrable: wait in the triggerer instead of in a worker. Takes precedence over ``mode``.
    :param start_from_trigger: of a deferrable sensor: start in the triggerer, without a worker (Airflow 3.3 and later).
    :param end_from_trigger: of a deferrable sensor: if the build is FINISHED, end in the triggerer, without a worker
        (Airflow 3.3 and later).
    :param poke_interval: the longest pause between two polls, in seconds or as ``timedelta``; the sensor polls more
        often at the beginning and near the end, except in ``mode="reschedule"``.
    :param timeout: how long to wait, in seconds or as ``timedelta``.
    :param mode: ``poke`` or ``reschedule``.
    :param soft_fail: skip the task after a timeout and for a FAILED or CANCELED build. If the state of the build is
        unknown, the task fails.
    :param exponential_backoff: in ``mode="reschedule"``: double the pause after each poll, up to ``max_wait``.
    :param max_wait: the longest pause with ``exponential_backoff``, in seconds or as ``timedelta``.
    :param silent_fail: wait on after an error that a later poll may not meet again.
    :param never_fail: skip the task instead of failing it, whatever happened.
    :param metakraftwerk_conn_id: id of the Airflow connection.
    :raises ConfigurationError: for arguments that are wrong or cannot work together.
    """

    template_fields: Sequence[str] = ("build_id", "metakraftwerk_conn_id")
    ui_color = "#e3f0fb"
    start_from_trigger = PerTask(False, start_from_trigger)
    start_trigger_args = PerTask(None, start_trigger_args)
    # Airflow asks for these before they are set.
    build_id: int | str | XComArg | None = None
    deferrable = False
    starts_in_triggerer = False

    def __init__(
        self,
        *,
        build_id: int | str | XComArg,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        start_from_trigger: bool = conf.getboolean("metakraftwerk", "start_from_trigger", fallback=False),
        end_from_trigger: bool = conf.getboolean("metakraftwerk", "end_from_trigger", fallback=False),
        poke_interval: float | timedelta = 30.0,
        timeout: float | timedelta = DEFAULT_TIMEOUT,
        mode: SensorMode = "poke",
        soft_fail: bool = False,
        exponential_backoff: bool = False,
        max_wait: float | timedelta | None = None,
        silent_fail: bool = False,
        never_fail: bool = False,
        metakraftwerk_conn_id: str = "metakraftwerk_default",
        **kwargs: Unpack[OperatorArguments],
    ) -> None:
        check_literal(whole_number, build_id=build_id)
        super().__init__(
            poke_interval=seconds("poke_interval", poke_interval),
            timeout=seconds("timeout", timeout),
            mode=mode,
            soft_fail=fixed_flag("soft_fail", soft_fail),
            exponential_backoff=fixed_flag("exponential_backoff", exponential_backoff),
            max_wait=max_wait,
            silent_fail=fixed_flag("silent_fail", silent_fail),
            never_fail=fixed_flag("never_fail", never_fail),
            **kwargs,
        )
        self.build_id = build_id
        self.deferrable = fixed_flag("deferrable", deferrable)
        self.starts_in_triggerer = self.deferrable and fixed_flag("start_from_trigger", start_from_trigger)
        self.end_from_trigger = self.deferrable and fixed_flag("end_from_trigger", end_from_trigger)
        self.metakraftwerk_conn_id = metakraftwerk_conn_id
        self._result: WaitResult | None = None
        self._seen: Build | None = None

    @property
    def wait_timeout(self) -> float:
        """Seconds after which the wait itself ends."""
        return float(self.timeout)

    @property
    def longest_pause(self) -> float:
        """The longest pause between two polls; with ``exponential_backoff`` pauses grow up to ``max_wait``."""
        if self.exponential_backoff and self.max_wait is not None:
            return max(self.poke_interval, self.max_wait.total_seconds())
        return float(self.poke_interval)

    def awaited_build_id(self, context: Any) -> int:
        """Return the id of the build that this sensor waits for."""
        return self.read_build_id(self.build_id)

    def _execute(self, context: Any) -> dict[str, Any]:
        """Wait for the build.

        :return: the finished build.
        :raises AirflowFailException: if it ended FAILED or CANCELED.
        :raises AirflowSensorTimeout: if the time is over; the build is still running.
        :raises AirflowSkipException: in either case with ``soft_fail``.
        """
        build_id = self.read_build_id(self.build_id)
        if self.reschedule and not self.deferrable:
            return self._wait_rescheduled(build_id, context)
        build: dict[str, Any] = self.wait_for(build_id, context)
        return build

    def _wait_rescheduled(self, build_id: int, context: Any) -> dict[str, Any]:
        """Poll once; if the build is still running, leave the worker until the next poll. Airflow's loop does that."""
        first = getattr(context["ti"], "get_first_reschedule_date", None)
        began = first(context) if first is not None else None
        # An earlier poll, in another worker, found the build.
        limit = Limit("timeout", (time.time() if began is None else began.timestamp()) + self.wait_timeout)
        self._build_wait = BuildWait(self, build_id, limit, own=began is not None)
        source = "timeout"
        try:
            BaseSensorOperator.execute(self, context)
        except AirflowTaskTimeout:
            source = "execution_timeout"
        except (AirflowSensorTimeout, AirflowSkipException):
            # The base class raises them only after a poll, for `timeout`.
            pass
        else:
            assert self._result is not None  # noqa: S101  # the loop ends with a poll that was the last one
            return dict(self.conclude(context, self._result))
        return dict(self.conclude(context, runtime.wait_result.TimedOut(build_id, source, self._last_seen())))

    def poke(self, context: Any) -> PokeReturnValue:
        """Poll the build once. How the wait ended is for :meth:`_finish`."""
        wait = self._build_wait or BuildWait(self, self.read_build_id(self.build_id), None)
        build_id, limit = wait.build_id, wait.limit
        until = None
        if limit is not None:
            until = max(limit.deadline, time.time() + self.hook.settings.connect_timeout)
        try:
            flow = runtime.wait.read_build(self.hook.session, build_id, until=until, exists=wait.own)
            build = self._seen = self.hook.run(flow)
            # A rescheduled attempt starts each poll without XComs.
            self.announce_build(context, build_id, build.project_id, again=wait.own)
            if build.build_end is not None and not build.has_ended:
                raise runtime.wait.unknown_status(build)  # handled as any other failed poll
        except MetaKraftwerkError as error:
            failed = runtime.wait_result.Failed(build_id, error)
            self._result = failed
            if wait.is_over and not is_final(error):
                self._result = runtime.wait_result.TimedOut(build_id, "timeout", self._last_seen(), str(error))
            elif self._waits_on(failed):
                self.log.warning("%s With silent_fail the sensor waits on.", failed.message())
                return PokeReturnValue(False)
            return PokeReturnValue(True)
        age = runtime.wait.age(runtime.wait.started(build), self.hook.session.server_time())
        self.log.info("%s", runtime.wait_result.describe_progress(build, age))
        self._result = runtime.wait_result.Ended(build)
        return PokeReturnValue(build.has_ended)

    def _last_seen(self) -> str | None:
        if self._seen is None:
            return None
        return runtime.wait_result.describe_status(str(self._seen.status), self._seen.progress)

    def _waits_on(self, result: Failed) -> bool:
        """Whether ``silent_fail`` waits on after a failure that a later poll may not meet again."""
        return bool(self.silent_fail) and not is_final(result.error)

    def _finish(self, result: WaitResult) -> dict[str, Any]:
        """Return the finished build as a dict, or raise what the end of the wait means to a sensor.

        :raises AirflowFailException: if the build ended FAILED or CANCELED, or no retry can fix the failure.
        :raises AirflowSensorTimeout: if ``timeout`` is over; Airflow does not retry it.
        :raises AirflowTaskTimeout: if ``execution_timeout`` is over.
        :raises AirflowSkipException: instead, with ``soft_fail`` or ``never_fail``.
        """
        while (
            isinstance(result, runtime.wait_result.Failed) and self._waits_on(result) and self._build_wait is not None
        ):
            if self._build_wait.is_over:
                limit = self._build_wait.limit
                result = runtime.wait_result.TimedOut(
                    result.build_id, limit.source if limit else None, None, str(result.error)
                )
            else:
                self.log.warning("%s With silent_fail the sensor waits on.", result.message())
                result = self._build_wait.run_again()
        if isinstance(result, runtime.wait_result.Ended):
            return self._finish_ended(result)
        if isinstance(result, runtime.wait_result.Failed):
            if self.never_fail:
                self._skip("never_fail", result.message(), result.error)
            self._last_line = f"{result.message()} A retry waits on."
            raise result.error
        execution = result.limit == "execution_timeout"
        # Airflow retries after `execution_timeout`, but not after a sensor's `timeout`.
        text = f"{result.message()} {'A retry waits on.' if execution else 'Clear this task to wait on.'}"
        error = AirflowTaskTimeout(text) if execution else AirflowSensorTimeout(text)
        return self._skip_or_raise(error)

    def _finish_ended(self, result: Ended) -> dict[str, Any]:
        self.log_end(result)
        try:
            return dict(safe_value(result.build.require_finished().to_dict()))
        except BuildError as error:
            text = f"{str(error).rstrip('.')}. A retry cannot change that: start another build"
            failure = AirflowFailException(text)
            failure.__cause__ = error
            return self._skip_or_raise(failure)

    def _skip_or_raise(self, error: BaseException) -> NoReturn:
        option = "soft_fail" if self.soft_fail else "never_fail" if self.never_fail else None
        if option is not None:
            self._skip(option, str(error), error)
        raise error

    def _skip(self, option: str, text: str, cause: BaseException) -> NoReturn:
        self.log.warning("%s", text)
        raise AirflowSkipException(f"Skipping because {option} is set: {text}") from cause

    def _resume(self, next_method: str, kwargs: dict[str, Any], context: Any) -> Any:
        event = kwargs.get("event")
        if isinstance(event, dict) and event.get("outcome") == "not started":
            # The triggerer could not start the task, so it starts here.
            return self._execute(context)
        return super()._resume(next_method, kwargs, context)
