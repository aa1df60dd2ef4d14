"""A server, an Airflow, and what must hold between them after every attempt."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mkw_airflow_provider.client.storage.manifest import MANIFEST
from mkw_airflow_provider.emulator import Emulator
from tests.exactly_once.accidents import Accident
from tests.exactly_once.tasks import AttemptGroup, TaskUnderTest
from tests.kit.outcomes import FINISHED
from tests.kit.pauses import forget_tokens
from tests.kit.tasks import first_event

BROKEN = ("FAILED", "CANCELED")
#: Builds end when a rule says so, never by the clock: the outcome of a rule must not depend on the machine's speed.
SWITCHES = {"build_seconds": 1_000_000.0}


#: What a user builds: two patterns, so that there are two files.
PERSONS_INSTANCES: list[str | int] = ["AIRPLANE", "STG_AIRPLANE"]
PERSON: AttemptGroup = ("", -1, 0)


class World:
    """The attempts of all tasks on one server.

    :param emulator: the server.
    :param folder: below which downloads go.
    """

    def __init__(self, emulator: Emulator, folder: Path) -> None:
        self.emulator = emulator
        self.folder = folder
        self.claimed: set[int] = set()
        self.deployed: dict[AttemptGroup, int] = {}
        self.damaged: set[Path] = set()
        self._started_by: dict[int, AttemptGroup] = {}
        self._contents: dict[int, str] = {}
        emulator.reset()
        emulator.set(**SWITCHES)
        forget_tokens()

    def restart(self) -> None:
        """Restart the server; its database is kept."""
        self.emulator.close()
        self.emulator.start()
        self.emulator.set(**SWITCHES)

    @contextmanager
    def struck_by(self, accident: Accident) -> Iterator[None]:
        """Let the server send wrong responses in this context."""
        self.emulator.clear_requests()
        for fault in accident.faults:
            fault.provoke(self.emulator)
        try:
            yield
        finally:
            self.emulator.clear_faults()
            if accident.killed_after is not None:
                # The next worker is a new process without a cached token.
                forget_tokens()

    def builds_of(self, task: TaskUnderTest) -> dict[int, str]:
        """Return the builds that the attempts of a task's present group started, and their statuses."""
        return {
            build["id"]: build["status"]
            for build in self.emulator.builds()
            if self._started_by.get(build["id"]) == task.group
        }

    def end_builds(self, task: TaskUnderTest, status: str | None) -> None:
        """Let the running builds of a task's present group end.

        :param status: how; None: leave them running.
        """
        for build_id, current in self.builds_of(task).items():
            if status is not None and current == "BUILDING":
                self.emulator.end_build(build_id, status)

    def finished_build(self) -> int:
        """Return the newest build that has finished; or one that a user starts if there is no such build."""
        finished = [build["id"] for build in self.emulator.builds() if build["status"] == "FINISHED"]
        if not finished:
            build = self.emulator.start_build(instances=PERSONS_INSTANCES)
            self._started_by[build["id"]] = PERSON
            finished = [self.emulator.end_build(build["id"], "FINISHED")["id"]]
        return int(finished[-1])

    def start(self, task: TaskUnderTest, accident: Accident) -> None:
        """Run an attempt of a task that starts a build, and check what it did."""
        before, all_before = self.builds_of(task), self._ids()
        with self.struck_by(accident):
            task.attempt(accident)
        self._let_requests_end()
        new = self._ids() - all_before
        self._started_by |= dict.fromkeys(new, task.group)
        assert len(new) <= 1, f"one attempt started {len(new)} builds"
        if new:
            assert set(before.values()) <= set(BROKEN), f"a build was started in addition to {before}"
        self._check_claim(task, before)

    def _ids(self) -> set[int]:
        return {build["id"] for build in self.emulator.builds()}

    def _let_requests_end(self) -> None:
        """Return when the server has finished the requests of dead or timed-out clients."""
        while any(request["seconds"] is None for request in self.emulator.requests()):
            time.sleep(0.01)

    def poll(self, task: TaskUnderTest, accident: Accident) -> None:
        """Let the triggerer poll the build of a deferred task; if it has ended, the task continues in a worker."""
        before = self.builds_of(task)
        trigger = task.trigger()
        ended = before[trigger.build_id] != "BUILDING"
        with self.struck_by(accident):
            # Else the triggerer is restarted meanwhile, and Airflow runs the trigger again.
            task.event = asyncio.run(first_event(trigger, 2.0 if ended else 0.05))
            if task.event is not None:
                task.go_on(accident)
                self._check_claim(task, {})

    def _check_claim(self, task: TaskUnderTest, before: dict[int, str]) -> None:
        """Check the build that an attempt has claimed.

        :param before: the builds of the group before the attempt.
        """
        builds = self.builds_of(task)
        claimed = task.instance.xcom.get("build_id")
        ended = task.endings[-1:] if task.deferred is None else []
        if claimed is None:
            assert ended not in ([], [FINISHED]), "an attempt continued without a build"
            return
        assert claimed in builds, f"XCom build_id is {claimed}, the group has {builds}"
        assert before.get(claimed) not in BROKEN, f"build {claimed} was adopted, though {before[claimed]}"
        self.claimed.add(claimed)
        if ended == [FINISHED]:
            assert builds[claimed] == "FINISHED", f"a task finished with build {claimed}, which is {builds[claimed]}"

    def finish(self, task: TaskUnderTest) -> None:
        """Let a task end without faults, and check that nothing else was built."""
        for _ in range(4):
            if task.is_due:
                self.start(task, Accident())
            self.end_builds(task, "FINISHED")
            if task.deferred is not None:
                self.poll(task, Accident())
        assert task.endings[-1] == FINISHED, f"{task.endings}: {task.errors[-1:]!r}"
        unknown = {
            build_id: status
            for build_id, status in self.builds_of(task).items()
            if build_id not in self.claimed and status not in BROKEN
        }
        assert not unknown, f"builds that no attempt knows: {unknown}"

    def check_builds(self) -> None:
        """Check that an attempt started each build, and each group of attempts has one build that is not broken."""
        whole: dict[AttemptGroup, list[int]] = {}
        for build in self.emulator.builds():
            assert build["id"] in self._started_by, f"build {build['id']} was started by no attempt"
            if build["status"] not in BROKEN and self._started_by[build["id"]] != PERSON:
                whole.setdefault(self._started_by[build["id"]], []).append(build["id"])
        assert all(len(ids) == 1 for ids in whole.values()), f"a group has more than one build: {whole}"

    def deploy(self, task: TaskUnderTest, accident: Accident) -> None:
        """Run an attempt of a task that deploys, and check what it did."""
        before = {deployment["id"] for deployment in self.emulator.build_deployments()}
        with self.struck_by(accident):
            task.attempt(accident)
        self._let_requests_end()
        after = {deployment["id"] for deployment in self.emulator.build_deployments()}
        self.deployed[task.group] = self.deployed.get(task.group, 0) + len(after - before)
        assert self.deployed[task.group] <= 1, "a group deployed more than once"
        if task.endings[-1] == FINISHED:
            assert task.result in after
            if task.knows_what_was_listed:
                assert self.deployed[task.group] == 1, "a group finished without having deployed"

    def download(self, task: TaskUnderTest, folder: Path, accident: Accident) -> None:
        """Run an attempt of a task that downloads, and check what it did."""
        intact = self._intact(folder)
        with self.struck_by(accident):
            task.attempt(accident)
        requested = {
            int(request["path"].rpartition("/")[2])
            for request in self.emulator.requests("GET", "/api/v1/downloads/*")
            if request["headers"]["user-agent"].startswith("mkw-airflow-provider")
        }
        assert not requested & intact, f"downloads {requested & intact} were complete, and were requested again"
        if task.endings[-1] == FINISHED:
            self.damaged -= set(folder.iterdir())
            whole = {file["download_id"] for file in json.loads((folder / MANIFEST).read_text())["files"]}
            assert whole == self._intact(folder) == set(self._names(folder))

    def damage(self, folder: Path) -> None:
        """Cut off the end of a downloaded file, if there is one."""
        for file in sorted(folder.glob("[!.]*.zip"))[:1]:
            file.write_bytes(file.read_bytes()[:-1])
            self.damaged.add(file)

    def check_files(self) -> None:
        """Check that each file under its final name is complete."""
        for folder in self.folder.iterdir():
            names = {name: download_id for download_id, name in self._names(folder).items()}
            for file in folder.iterdir():
                if not file.name.startswith(".") and file.name != MANIFEST and file not in self.damaged:
                    assert _sha256(file) == self._content(names[file.name]), f"{file.name} is not whole"

    def _names(self, folder: Path) -> dict[int, str]:
        """Return the downloads of the build that a folder is named after."""
        build_id = int(folder.name.rpartition("-")[2])
        return {row["id"]: row["name"] for row in self.emulator.downloads() if row["build_id"] == build_id}

    def _intact(self, folder: Path) -> set[int]:
        """Return the downloads whose files are as the manifest or a task's record says."""
        recorded: dict[int, dict[str, Any]] = {}
        for path in (*folder.glob(MANIFEST), *folder.glob(".manifest-*.json")):
            recorded |= {file["download_id"]: file for file in json.loads(path.read_text())["files"]}
        return {
            download_id
            for download_id, file in recorded.items()
            if Path(file["path"]).exists() and _sha256(Path(file["path"])) == file["sha256"]
        }

    def _content(self, download_id: int) -> str:
        """Return the SHA-256 of a file as the server sends it to other clients."""
        if download_id not in self._contents:
            url, fields = self.emulator.url, self.emulator.connection
            body = {"strategy": "local", "email": fields["login"], "password": fields["password"]}
            login = urllib.request.Request(f"{url}/authentication", json.dumps(body).encode())
            login.add_header("Content-Type", "application/json")
            token = json.loads(_read(login))["accessToken"]
            file = urllib.request.Request(f"{url}/api/v1/downloads/{download_id}")
            file.add_header("Authorization", f"Bearer {token}")
            self._contents[download_id] = hashlib.sha256(_read(file)).hexdigest()
        return self._contents[download_id]


def _read(request: urllib.request.Request) -> bytes:
    with urllib.request.urlopen(request, timeout=60) as response:
        content: bytes = response.read()
        return content


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
