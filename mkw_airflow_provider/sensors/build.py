"""The sensor that waits for a build that somebody else started."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
    BaseSensorOperator,
    PokeReturnValue,
    TaskDeferred,
    conf,
)

from mkw_airflow_provider.client.arguments import whole_number
from mkw_airflow_provider.exceptions import BuildError, BuildTimeoutError, ProtocolError
from mkw_airflow_provider.operators.literals import check_literal
from mkw_airflow_provider.operators.waiting import Limit, WaitsForBuild

if TYPE_CHECKING:
    from mkw_airflow_provider.client.builds import Build

__all__ = ["BuildSensor"]


class BuildSensor(WaitsForBuild, BaseSensorOperator):
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

    def __init__(
        self,
        *,
        build_id: int | str,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        metakraftwerk_conn_id: str = "metakraftwerk_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.build_id = build_id
        self.deferrable = deferrable
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

    @property
    def after_timeout(self) -> str:
        """What can be done after a time-out."""
        return "A retry or a cleared task waits on."

    def execute(self, context: Any) -> dict[str, Any]:
        """Wait for the build.

        :return: the finished build.
        :raises AirflowFailException: if it ended FAILED or CANCELED.
        :raises AirflowSensorTimeout: if the time is over; the build goes on.
        :raises AirflowSkipException: in either case with ``soft_fail``.
        """
        self._build_id = self.read_build_id(self.build_id)
        if self.deferrable:
            limit = self.limit(context)
            build: dict[str, Any] = self._as_one_poke(lambda: self._look_and_defer(limit), limit)
            return build
        try:
            super().execute(context)
        except AirflowSensorTimeout:
            self.say_time_out(self._overdue(), "timeout")
        except AirflowSkipException as error:
            # The base class skips without a cause only where the time is over; what goes on must be said then, too.
            if error.__cause__ is None:
                self.say_time_out(self._overdue(), "timeout")
            raise
        except AirflowTaskTimeout:
            self.say_time_out(self._overdue(), "execution_timeout")
        return self.concluded(self._seen)

    def poke(self, context: Any) -> PokeReturnValue:
        """Look at the build once.

        :raises AirflowFailException: if it ended FAILED or CANCELED.
        """
        build, before = self.hook.get_build(self._build_id or self.read_build_id(self.build_id)), self._seen
        self._seen = build
        if before is None or (build.status, build.progress) != (before.status, before.progress):
            progress = "" if build.progress is None else f", {build.progress} %"
            self.log.info("Build %s is %s%s.", build.id, build.status, progress)
        if build.has_ended and build.status != "FINISHED":
            self.concluded(build)
        return PokeReturnValue(build.status == "FINISHED", build.to_dict())

    def _get_next_poke_interval(self, *args: Any, **kwargs: Any) -> float:
        """Look early at first and near the end, as the trigger does; but rescheduled, each look costs a worker."""
        if self._seen is None or self.reschedule or self.exponential_backoff:
            return float(super()._get_next_poke_interval(*args, **kwargs))
        from mkw_airflow_provider.client.polling import next_pause

        start = self._seen.build_start
        elapsed = 0.0 if start is None else max(0.0, time.time() - start.timestamp())
        chance = random.random()  # noqa: S311  # nothing to guess here
        return next_pause(
            elapsed=elapsed, progress=self._seen.progress, poll_interval=self.longest_pause, chance=chance
        )

    def _look_and_defer(self, limit: Limit | None) -> dict[str, Any]:
        build = self.hook.get_build(self._build_id or 0)
        if not build.has_ended:
            self.put_away(build.id, limit)
        return self.concluded(build)

    def execute_complete(self, context: Any, event: dict[str, Any] | None = None, limited_by: str | None = None) -> Any:
        """Go on in a worker after the wait in the triggerer; ends as a sensor that was not deferred does."""
        deadline = event.get("deadline") if isinstance(event, dict) else None
        limit = None if deadline is None else Limit(limited_by or "timeout", deadline)
        resume = super().execute_complete
        return self._as_one_poke(lambda: resume(context, event, limited_by), limit)

    def _as_one_poke(self, step: Callable[[], Any], limit: Limit | None) -> Any:
        """Do what a poke does, and take its failure as Airflow takes that of a poke."""
        try:
            return step()
        except (AirflowSkipException, TaskDeferred):
            raise
        except (AirflowFailException, AirflowSensorTimeout) as error:
            self._skip_or_raise(error)
        except Exception as error:
            if self.silent_fail and self._build_id is not None:
                self.log.exception("The look at build %s failed; with silent_fail the wait goes on.", self._build_id)
                self.put_away(self._build_id, limit)
            if self.never_fail:
                raise AirflowSkipException(f"Skipping due to never_fail is set to True. {error}") from error
            raise

    def _skip_or_raise(self, error: Exception) -> NoReturn:
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
            return build.require_finished().to_dict()
        except BuildError as error:
            raise AirflowFailException(f"{error} A retry cannot change that: start another build") from error

    def timed_out(self, error: BuildTimeoutError) -> NoReturn:
        """Raise a time-out as Airflow's own, which is not retried.

        :raises AirflowSensorTimeout: unless the sensor skips instead of failing.
        """
        self._skip_or_raise(AirflowSensorTimeout(str(error)))

    def watched_build_id(self, context: Any) -> int:
        """Return the id of the build that this sensor waits for."""
        return self.read_build_id(self.build_id)

    def _overdue(self) -> BuildTimeoutError:
        from mkw_airflow_provider.client.flows.waiting import timeout_message

        build_id = self._build_id or 0
        state = "not seen" if self._seen is None else f"last seen {self._seen.status}"
        return BuildTimeoutError(build_id, timeout_message(build_id, state))
