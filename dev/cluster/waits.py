"""Many deferred waits, and one fault after the other: after each one, every wait must continue."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from dev.chaos.evidence import moment
from dev.chaos.invariants import Violation
from dev.cluster.chains import Chain, read_chains
from dev.cluster.faults import Fault, kill_worker_during_start
from dev.cluster.scenarios import TIMEOUT, Report, ScenarioError, has_ended
from dev.cluster.site import Site

DAG_ID = "cluster_faults"
#: Seconds after a fault until every wait must have polled again: many times what it takes.
CONTINUE_TIMEOUT = 400.0
#: Builds do not end by themselves.
FOREVER = 36_000.0
CHECK_INTERVAL = 2.0


class Waits:
    """A run with many chains whose builds end when they are told to.

    :param count: how many of its waits last through all faults.
    :param ending: how many more end during each fault.
    """

    def __init__(self, site: Site, faults: Sequence[Fault], report: Report, *, count: int, ending: int) -> None:
        self.run_id = "faults"
        self.rows: list[dict[str, Any]] = []
        self.violations: list[Violation] = []
        self._site = site
        self._faults = faults
        self._report = report
        self._count = count + ending * len(faults)
        self._ending = ending

    def run(self) -> list[Chain]:
        """Start the chains, inject all faults, end all builds, and return the chains when their run has ended."""
        site = self._site
        site.control.set(build_seconds=FOREVER)
        try:
            self._start()
            for fault in self._faults:
                self._inject(fault)
            # The chains after a fault that was the last one still need their workers.
            self._end_builds(self._running())
        finally:
            site.control.set(build_seconds=site.build_seconds)
        self._until("the end of the run", TIMEOUT, lambda: has_ended(site, DAG_ID, [self.run_id]))
        return read_chains(site, DAG_ID, [self.run_id])

    def _start(self) -> None:
        began, before = time.monotonic(), self._seen()
        self._site.client.trigger(DAG_ID, {"count": self._count}, run_id=self.run_id)
        worker = kill_worker_during_start(self._site, DAG_ID, self.run_id)
        self._report(f"worker killed while start_build waits for its response: {worker or 'the moment did not come'}")
        self._until("all waits", TIMEOUT, lambda: self._deferred() == self._count)
        seconds = time.monotonic() - began
        self._report(f"{self._count} waits deferred after {seconds:.0f} s: {self._site.database.waits()}")
        self._add(f"worker killed during `start`{'' if worker else ' (did not happen)'}", seconds, Counter(), before)

    def _inject(self, fault: Fault) -> None:
        site = self._site
        before = self._seen()
        restarts = site.cluster.restarts.copy()
        ended: list[int] = []

        def end_builds() -> None:
            ended.extend(self._running()[: self._ending])
            self._end_builds(ended)

        began = time.monotonic()
        fault.inject(site, end_builds)
        over = moment(site.control.health()["time"])
        running = self._running()
        waiting = set(running)

        def have_continued() -> bool:
            for request in site.control.requests("GET", "/api/v1/builds/*"):
                if request["status"] == 200 and moment(request["time"]) > over:
                    waiting.discard(int(request["path"].rpartition("/")[2]))
            return not waiting and self._deferred() == len(running)

        try:
            self._until(f"all waits after: {fault.text}", CONTINUE_TIMEOUT, have_continued)
        except ScenarioError as error:
            text = f"{error} Builds not polled: {sorted(waiting)}; {self._deferred()} of {len(running)} deferred"
            self.violations.append(Violation(None, text, site.stack.home / "logs"))
        seconds = time.monotonic() - began
        self._add(fault.text, seconds, site.cluster.restarts - restarts, before)
        self._report(f"{fault.text}: {len(running)} waits continue after {seconds:.0f} s, {len(ended)} ended meanwhile")

    def _add(self, text: str, seconds: float, restarts: Counter[str], before: dict[str, int]) -> None:
        after = self._seen()
        row = {name: after[name] - before[name] for name in after}
        self.rows.append({"fault": text, "seconds": round(seconds, 1), **row, "restarts": dict(restarts)})

    def _seen(self) -> dict[str, int]:
        requests = self._site.control.requests()
        chains = read_chains(self._site, DAG_ID, [self.run_id])
        return {
            "logins": sum(request["path"] == "/authentication" for request in requests),
            "refused": sum(request["status"] == 401 for request in requests),
            "more_attempts": sum(chain.attempts for chain in chains),
        }

    def _running(self) -> list[int]:
        """Return the builds of the run that are running, oldest first."""
        return sorted(
            build["id"]
            for build in self._site.control.builds()
            if build["status"] == "BUILDING" and f"{self.run_id}_" in str(build["description"])
        )

    def _end_builds(self, build_ids: Iterable[int]) -> None:
        for build_id in build_ids:
            self._site.control.end_build(build_id, "FINISHED")

    def _deferred(self) -> int:
        try:
            tasks = self._site.database.tasks(DAG_ID, [self.run_id])
        except SQLAlchemyError:
            return -1
        return sum(task["state"] == "deferred" for task in tasks)

    def _until(self, what: str, timeout: float, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > deadline or self._site.stopped.wait(CHECK_INTERVAL):
                raise ScenarioError(f"After {timeout:.0f} s, still waiting for {what}.")
