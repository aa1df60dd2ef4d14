"""Hypothesis drives attempts, clears, deaths, faults and restarts in any order, and checks for duplicate builds."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from structlog.testing import capture_logs

from mkw_airflow_provider.emulator import Emulator
from mkw_airflow_provider.operators.build import DownloadBuildOperator, StartBuildOperator
from mkw_airflow_provider.operators.deployment import BuildDeploymentOperator
from tests.exactly_once.accidents import (
    DEPLOYING,
    DOWNLOADING,
    STARTING,
    Accident,
    Reaper,
    accidents,
)
from tests.exactly_once.tasks import RETRIES, MortalStore, TaskUnderTest
from tests.exactly_once.world import BROKEN, World
from tests.kit.outcomes import FINISHED

#: A build of two patterns, so that there are two files to fetch.
INSTANCES = [
    {"pattern": "CORE_DV_HLS", "folder": "/BUSINESS_VAULT", "name": "AIRPLANE"},
    {"pattern": "STAGE_LOAD", "folder": "/STAGING", "name": "STG_AIRPLANE"},
]
#: The tasks that start a build: task id and map index. The last one waits in its worker.
STARTS = {"build": ("build", -1), "mapped 0": ("mapped", 0), "mapped 1": ("mapped", 1), "waits": ("waits", -1)}
#: The tasks that deploy: name to deployment. The second one has no state store, as before Airflow 3.3.
DEPLOYS = {"deploy": "DEPLOY_TO_DEV", "deploy_without_store": "DEPLOY_TO_TEST"}
DOWNLOAD = "download"
CALM = Accident()
NOW_AND_THEN = st.sampled_from([False, False, False, True])
#: In CI the same runs each time, and a failure is told as it is; elsewhere new runs, and a failure is cut down to its
#: shortest form, which takes minutes. Both print a blob to repeat it by.
IN_CI = bool(os.environ.get("CI"))
SETTINGS = settings(
    max_examples=10,
    stateful_step_count=25,
    deadline=None,
    derandomize=IN_CI,
    phases=[Phase.explicit, Phase.reuse, Phase.generate, *([] if IN_CI else [Phase.shrink])],
    report_multiple_bugs=False,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)


class BuildsStartOnce(RuleBasedStateMachine):
    """Rules are what can happen, in any order; none draws by what came of another, so that each run can be repeated.

    :param emulator: the server.
    :param folder: for downloads.
    :param secrets: collects what must not be in any log.
    """

    def __init__(self, emulator: Emulator, reaper: Reaper, folder: Path, secrets: set[str]) -> None:
        super().__init__()
        self.secrets = secrets
        self.world = World(emulator, folder)
        self.of_build: dict[str, int] = {}
        self.tasks = {
            name: TaskUnderTest(reaper, task_id, self._starting(task_id), map_index=map_index)
            for name, (task_id, map_index) in STARTS.items()
        }
        for name in DEPLOYS:
            store = MortalStore(reaper) if name == "deploy" else None
            self.tasks[name] = TaskUnderTest(reaper, name, self._deploying(name), store=store)
        self.tasks[DOWNLOAD] = TaskUnderTest(reaper, DOWNLOAD, self._downloading)

    def _starting(self, task_id: str) -> Any:
        waits_in_worker = task_id == "waits"
        return lambda: StartBuildOperator(
            task_id=task_id,
            project="DEMO_PROJECT",
            instances=INSTANCES,
            wait_for_completion=True,
            deferrable=not waits_in_worker,
            # Long enough to be killed meanwhile.
            timeout=0.2 if waits_in_worker else None,
            poll_interval=0.05,
            on_clear="rebuild",
            retries=RETRIES,
        )

    def _deploying(self, name: str) -> Any:
        return lambda: BuildDeploymentOperator(
            task_id=name,
            build_id=self.of_build[name],
            pattern="CORE_DV_HLS",
            deployment=DEPLOYS[name],
            retries=RETRIES,
        )

    def _downloading(self) -> DownloadBuildOperator:
        return DownloadBuildOperator(
            task_id=DOWNLOAD,
            build_id=self.of_build[DOWNLOAD],
            destination=str(self._destination),
            max_parallel=2,
            retries=RETRIES,
        )

    @property
    def _destination(self) -> Path:
        return self.world.folder / f"build-{self.of_build[DOWNLOAD]}"

    def _ready(self, name: str, *, clear: bool) -> TaskUnderTest:
        """Return a task that is due: cleared first, if it has finished or somebody wants it so."""
        task = self.tasks[name]
        if task.has_begun and (clear or task.endings[-1:] == [FINISHED]):
            task.clear()
        if name not in STARTS and not task.has_begun:
            # A group of attempts stays with its build, as one that comes from XCom does.
            self.of_build[name] = self.world.finished_build()
        return task

    @rule(
        name=st.sampled_from([*STARTS]),
        accident=accidents(STARTING, 16),
        end=st.sampled_from([None, "FINISHED", *BROKEN]),
        clear=NOW_AND_THEN,
    )
    def start(self, name: str, accident: Accident, end: str | None, clear: bool) -> None:
        """A task starts a build, or adopts it; before that its build may have ended."""
        task = self.tasks[name]
        self.world.end_builds(task, end)
        if task.deferred is not None and not clear:
            self.world.poll(task, accident)
        else:
            self.world.start(self._ready(name, clear=clear), accident)

    @rule(name=st.sampled_from([*STARTS]), accident=accidents(STARTING, 16), end=st.sampled_from(BROKEN))
    def start_again(self, name: str, accident: Accident, end: str) -> None:
        """The build of a task fails or is cancelled, and the task is retried."""
        task = self.tasks[name]
        self.world.end_builds(task, end)
        if task.deferred is not None:
            self.world.poll(task, CALM)
        self.world.start(self._ready(name, clear=False), accident)

    @rule(name=st.sampled_from([*DEPLOYS]), accident=accidents(DEPLOYING, 10), clear=NOW_AND_THEN)
    def deploy(self, name: str, accident: Accident, clear: bool) -> None:
        """A task deploys."""
        self.world.deploy(self._ready(name, clear=clear), accident)

    @rule(accident=accidents(DOWNLOADING, 40), clear=NOW_AND_THEN, damage=NOW_AND_THEN)
    def download(self, accident: Accident, clear: bool, damage: bool) -> None:
        """A task downloads; before that somebody may have cut off the end of a file."""
        task = self._ready(DOWNLOAD, clear=clear)
        if damage:
            self.world.damage(self._destination)
        self.world.download(task, self._destination, accident)

    @rule(restart=st.booleans())
    def forget(self, restart: bool) -> None:
        """All tokens expire, or the server is restarted with its database."""
        if restart:
            self.world.restart()
        else:
            self.world.emulator.expire_tokens()

    @invariant()
    def each_series_has_one_build(self) -> None:
        """Check for duplicate builds and for builds that no attempt started."""
        self.world.check_builds()

    @invariant()
    def each_file_is_whole(self) -> None:
        """Look for a file that is not."""
        self.world.check_files()

    def teardown(self) -> None:
        """Let every task end in peace: each finishes, and what its group has built is known by then."""
        for name in STARTS:
            if self.tasks[name].has_begun:
                self.world.finish(self.tasks[name])
        for name in (*DEPLOYS, DOWNLOAD):
            task = self.tasks[name]
            if task.has_begun and task.is_due:
                self.deploy(name, CALM, False) if name in DEPLOYS else self.download(CALM, False, False)
                assert not task.is_due, f"{name}: {task.errors[-1]!r}"
        self.world.check_builds()
        self.world.check_files()
        self.secrets.update(token["token"] for token in self.world.emulator.tokens())


@pytest.mark.timeout(900)
def test_build_starts_exactly_once(
    emulator: Emulator,
    reaper: Reaper,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    secrets = {emulator.connection["password"]}
    folders = (tmp_path / f"run-{number}" for number in range(1_000_000))

    def machine() -> BuildsStartOnce:
        folder = next(folders)
        folder.mkdir()
        return BuildsStartOnce(emulator, reaper, folder, secrets)

    # Before Airflow masks what resembles a token.
    with capture_logs() as entries:
        run_state_machine_as_test(machine, settings=SETTINGS)  # type: ignore[arg-type]  # any callable that makes one
    captured = capfd.readouterr()
    logged = captured.out + captured.err + caplog.text + "".join(map(repr, entries))
    assert "POST /api/v1/builds" in caplog.text
    assert "not resending, checking whether it took effect" in repr(entries)
    assert [secret for secret in secrets if secret in logged] == []
