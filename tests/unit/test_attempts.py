"""Hypothesis drives the attempts of a task in simulated time, and checks for duplicate and missing builds.

Attempts are killed, cleared and retried, DAG runs are deleted and created again, and the server loses responses, cuts
descriptions and shows lists late. The same over a socket, with waiting and downloads, is in ``tests/exactly_once``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from mkw_airflow_provider.exceptions import MetaKraftwerkError
from mkw_airflow_provider.operators.build_record import mark_done
from tests.kit.builds_server import BuildTask
from tests.kit.simulation import World, http_error, lost

BROKEN = ("FAILED", "CANCELED")
KILLED = RuntimeError("killed")
#: What happens to the POST: the response, and whether the server does the work.
ACCIDENTS = [
    None,
    None,
    (KILLED, False),
    (KILLED, True),
    (lost(), False),
    (lost(), True),
    (http_error(500), False),
    (http_error(500), True),
    (http_error(502), True),
    (http_error(403), False),
]


class Attempts(RuleBasedStateMachine):
    """One task instance.

    :param has_store: whether Airflow has a task state store.
    """

    def __init__(self, has_store: bool) -> None:
        super().__init__()
        self.task = BuildTask(World(outage_tolerance=90.0), has_store)
        self.server = self.task.server
        #: The build that the present attempts have started or adopted; whether the task was cleared since.
        self.current: int | None = None
        self.was_cleared = False
        #: Builds from before the task was cleared or its DAG run deleted: never to be taken when FINISHED.
        self.past: set[int] = set()
        self.origins: dict[int, Any] = {}
        self.has_succeeded = False
        self.is_unreported = False

    def status(self, build_id: int | None) -> str | None:
        """Return the status of a build on the server."""
        return next((row["status"] for row in self.server.builds if row["id"] == build_id), None)

    @precondition(lambda self: not self.has_succeeded)
    @rule(
        attempts=st.lists(
            st.tuples(
                st.sampled_from(ACCIDENTS), st.sampled_from([0.0, 20.0, 50.0]), st.sampled_from([True, False, False])
            ),
            min_size=1,
            max_size=4,
        )
    )
    def run(self, attempts: list[tuple[Any, float, bool]]) -> None:
        """Run attempts until one succeeds."""
        for accident, delay, is_reported in attempts:
            if not self.has_succeeded:
                self.attempt(accident, delay, is_reported)

    def attempt(self, accident: Any, delay: float, is_reported: bool) -> None:
        """Run an attempt.

        :param delay: for how long the server works on a POST, or shows its build late.
        """
        before, expected = set(self.server.ids), self._expected()
        self.server.faults = [accident] if accident else []
        self.server.works_for = delay
        try:
            taken: int | None = self.task.run()
        except (MetaKraftwerkError, RuntimeError):
            taken = None
        made = set(self.server.ids) - before
        self.origins |= dict.fromkeys(made, self._origin)
        assert len(made) <= 1, f"one attempt started {made}"
        if expected is not None:
            assert not made, f"{made} was started although build {expected} is {self.status(expected)}"
            assert taken in (expected, None)
        if taken is not None:
            assert taken not in self.past or self.status(taken) not in ("FINISHED", *BROKEN), f"{taken} is from before"
            assert taken in made or expected == taken, f"{taken} was taken, not {expected}"
        if taken is not None or made:
            self.current = taken if taken is not None else made.pop()
            self.was_cleared = False
            self.past.discard(self.current)
        if taken is not None:
            mark_done(self.task.store, self.task.attempt)
            self.has_succeeded, self.is_unreported = is_reported, not is_reported

    def _expected(self) -> int | None:
        """Return the build that an attempt has to take; None if it has to start one."""
        status = self.status(self.current)
        if status is None or status in BROKEN:
            return None
        if self.was_cleared:
            return self.current if status == "BUILDING" and self.task.on_clear == "adopt_running" else None
        return self.current

    @rule(status=st.sampled_from(["FINISHED", "FINISHED", *BROKEN]))
    def end(self, status: str) -> None:
        """The running builds end."""
        for row in self.server.builds:
            if row["status"] == "BUILDING":
                row["status"] = status
        if not self.task.has_store and self.current is not None and self.origins[self.current] != self._origin:
            # Nothing tells a retry that an earlier build was adopted.
            self.past.add(self.current)
            self.current = None

    @property
    def _origin(self) -> tuple[Any, int]:
        """What a build shows of the attempt that started it."""
        return self.task.attempt.run_started, self.task.attempt.max_tries

    @precondition(lambda self: self.task.attempt.try_number > 0)
    @rule(retries=st.integers(0, 5), on_clear=st.sampled_from(["adopt_running", "rebuild"]))
    def clear(self, retries: int, on_clear: str) -> None:
        """The task is cleared while the DAG file has another number of retries."""
        max_tries = self.task.attempt.try_number + retries
        if max_tries == self.task.attempt.max_tries and not (self.task.has_store and self.has_succeeded):
            return  # Airflow does not tell this from a retry.
        self.task.on_clear = on_clear
        self.task.clear(retries)
        self.was_cleared, self.has_succeeded = True, False
        if self.status(self.current) != "BUILDING" and self.current is not None:
            self.past.add(self.current)

    @precondition(lambda self: not self.is_unreported and not self.has_succeeded)
    @rule()
    def clear_another_task(self) -> None:
        """Another task of the DAG run is cleared."""
        clears = self.task.attempt.clear_number or 0
        self.task.attempt = replace(self.task.attempt, clear_number=clears + 1)

    @rule()
    def recreate(self) -> None:
        """The DAG run is deleted and created again."""
        if not self.task.has_store:
            # Nothing tells a running build of the deleted run from one of the new run.
            self.end("FINISHED")
        self.task.world.clock.advance(60)
        self.task.recreate()
        self.past |= set(self.server.ids)
        self.current, self.was_cleared, self.has_succeeded, self.is_unreported = None, False, False, False

    @rule(limit=st.sampled_from([None, 255, 40]), skew=st.sampled_from([-300.0, 0.0, 300.0]))
    def reconfigure(self, limit: int | None, skew: float) -> None:
        """The server cuts descriptions, or has another time."""
        self.server.description_limit = limit
        if not self.server.builds:
            self.server.clock_ahead = skew


@pytest.mark.parametrize("has_store", [True, False], ids=["store", "no-store"])
def test_attempts_start_one_build(has_store: bool) -> None:
    run_state_machine_as_test(
        lambda: Attempts(has_store),  # type: ignore[arg-type]  # any callable that makes one
        settings=settings(
            max_examples=150, stateful_step_count=20, deadline=None, derandomize=True, phases=[Phase.generate]
        ),
    )
