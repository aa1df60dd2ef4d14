"""What must hold after all runs, whatever happened in them."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dev.chaos.evidence import Clear, Evidence, Row, RunEvidence, belongs_to, is_in_logs, moment
from dev.chaos.fault_catalog import STEPS

_MARKER = re.compile(r"\[airflow:[0-9a-f-]+\]")
_BAD = frozenset({"FAILED", "CANCELED"})
_ENDED = frozenset({"success", "failed"})
#: The tasks that deploy, and the field of a build deployment that tells whose it is.
_TARGETS = {"deploy_build": "agent_group_id", "deploy_to_agent": "agent_id"}

#: Faults with which the server did nothing; `fault_catalog` combines them with no work.
_WITHOUT_WORK = frozenset({("close", None), ("status", 503), ("status", 429)})

#: Every request that the chain has a reason to send.
_EXPECTED_REQUESTS = (
    ("POST", r"/authentication"),
    ("POST", r"/api/v1/builds"),
    ("GET", r"/api/v1/builds"),
    ("GET", r"/api/v1/builds/\d+"),
    ("GET", r"/api/v1/downloads/\d+"),
    ("POST", r"/api/v1/metadata"),
    ("GET", r"/api/v1/build_deployments"),
    ("POST", r"/api/v1/build_deployments"),
    ("GET", r"/api/v1/agents"),
    ("GET", r"/api/v1/agent_groups"),
)


@dataclass(frozen=True)
class Violation:
    """Something that must not happen.

    :param run_id: the run that it happened to; None: no particular one.
    :param log: the file or folder to look into.
    """

    run_id: str | None
    text: str
    log: Path

    def __str__(self) -> str:
        return f"{self.run_id or 'server'}: {self.text}\n    see {self.log}"


def find_violations(evidence: Evidence) -> list[Violation]:
    """Return every violation."""
    found = [
        *_check_owners(evidence),
        *_check_requests(evidence),
        *_check_logins(evidence),
        *_check_secrets(evidence),
    ]
    for run in evidence.runs:
        builds = builds_of(run, evidence)
        wrong = list(_check_builds(run, builds))
        found += wrong
        if not wrong:
            found += [
                *_check_states(run, builds[-1]),
                *_check_files(run, builds, evidence),
                *_check_deployments(run, builds, evidence),
            ]
    return found


def builds_of(run: RunEvidence, evidence: Evidence) -> list[Row]:
    """Return the builds of a run, oldest first."""
    mine = [build for build in evidence.builds if belongs_to(build, run.run_id)]
    return sorted(mine, key=lambda build: int(build["id"]))


def _check_owners(evidence: Evidence) -> Iterator[Violation]:
    """Each build was started by a run."""
    owned = {build["id"] for run in evidence.runs for build in builds_of(run, evidence)}
    for build in evidence.builds:
        if build["id"] not in owned:
            text = f"no run started build {build['id']}: {build['description']!r}"
            yield Violation(None, text, evidence.server_log)


def _check_builds(run: RunEvidence, builds: Sequence[Row]) -> Iterator[Violation]:
    """A run has one build; another one only if the one before had ended and failed, or a clear asked for it."""
    log = run.log("start_build")
    if not builds:
        yield Violation(run.run_id, "it has no build", log)
        return
    clears = run.clears_of("start_build")
    for before, after in itertools.pairwise(builds):
        if not before["build_end"] or moment(before["build_end"]) > moment(after["build_start"]):
            text = f"build {after['id']} was started while build {before['id']} was running"
            yield Violation(run.run_id, text, log)
        elif before["status"] not in _BAD:
            cause = next((clear for clear in clears if clear.at < moment(after["build_start"])), None)
            if cause is None:
                text = f"build {after['id']} was started without a reason: build {before['id']} is {before['status']}"
                yield Violation(run.run_id, text, log)
            else:
                clears = clears[clears.index(cause) + 1 :]
    yield from _check_clears(run, builds)


def _check_clears(run: RunEvidence, builds: Sequence[Row]) -> Iterator[Violation]:
    """A start that was cleared after its build had ended has built again."""
    for clear in run.clears_of("start_build"):
        earlier = [build for build in builds if moment(build["build_start"]) <= clear.at]
        had_ended = clear.state in _ENDED and all(moment(build["build_end"]) <= clear.at for build in earlier)
        if had_ended and len(earlier) == len(builds):
            text = f"start_build was cleared at {clear.at}, when its build had ended, and did not build again"
            yield Violation(run.run_id, text, run.log("start_build"))


def _check_requests(evidence: Evidence) -> Iterator[Violation]:
    """No request without a reason, no error that was not injected, no request that changes state sent twice."""
    for request in evidence.requests:
        line = f"request {request['id']}, {request['method']} {request['path']}"
        if not any(
            request["method"] == method and re.fullmatch(path, request["path"]) for method, path in _EXPECTED_REQUESTS
        ):
            yield Violation(None, f"{line}: the chain has no reason to send it", evidence.server_log)
        status = request["status"] or 0
        if request["fault"] is None and status >= 400 and not (status == 401 and evidence.rotations):
            yield Violation(None, f"{line}: {status}, which was not injected", evidence.server_log)
    builds = Counter(_marker(build) for build in evidence.builds)
    deployments = Counter(deployment["build_id"] for deployment in evidence.deployments)
    yield from _check_sent_once(evidence, "/api/v1/builds", _marker, builds)
    yield from _check_sent_once(evidence, "/api/v1/build_deployments", lambda body: body["build_id"], deployments)


def _check_sent_once(
    evidence: Evidence, path: str, key_of: Callable[[Mapping[str, Any]], Any], results: Counter[Any]
) -> Iterator[Violation]:
    """Each `POST` that the server executed has its result."""
    executed: dict[Any, list[int]] = {}
    for request in evidence.requests:
        # A request that died with the server has no end; whether it was executed is what the other checks tell.
        ended = (request["method"], request["path"]) == ("POST", path) and request["seconds"] is not None
        if ended and (request["fault"], request["status"]) not in _WITHOUT_WORK and request["status"] != 401:
            executed.setdefault(key_of(request["body"] or {}), []).append(request["id"])
    for key, ids in executed.items():
        if len(ids) > results[key]:
            text = f"POST {path} for {key} was executed {len(ids)} times with {results[key]} results: requests {ids}"
            yield Violation(None, text, evidence.server_log)


def _check_logins(evidence: Evidence) -> Iterator[Violation]:
    """One login per process: an attempt, an attempt's end after its wait, a triggerer; and one per refused token."""
    processes = evidence.triggerers
    for run in evidence.runs:
        attempts = {task_id: task["try_number"] for task_id, task in run.tasks.items()}
        for clear in run.clears:
            if clear.deleted:
                attempts[clear.task_id] += clear.try_number
        processes += sum(attempts.values()) + sum(attempts[task_id] for task_id in STEPS[:2])
    refused = sum(request["status"] == 401 for request in evidence.requests)
    logins = sum(r["path"] == "/authentication" and r["status"] == 201 for r in evidence.requests)
    if logins > processes + refused:
        text = f"{logins} logins of {processes} processes, {refused} of whose requests were refused"
        yield Violation(None, text, evidence.server_log)


def _check_secrets(evidence: Evidence) -> Iterator[Violation]:
    """No file of Airflow's holds a password or a token: no log, and not the database."""
    for path in evidence.home.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            if any(secret.encode() in content for secret in evidence.secrets):
                yield Violation(None, "a password or a token is in a file", path)


def _check_states(run: RunEvidence, build: Row) -> Iterator[Violation]:
    """The run ended as its build did, and `start_build` returned the right build."""
    good = build["status"] not in _BAD
    expected = dict.fromkeys(STEPS, "success")
    if not good:
        expected.update(dict.fromkeys(STEPS[2:], "upstream_failed"), wait_for_build="failed")
    for task_id, task in run.tasks.items():
        state = expected[task_id]
        if task["state"] != state:
            text = f"{task_id} is {task['state']} after attempt {task['try_number']}, its build is {build['status']}"
            yield Violation(run.run_id, text, run.log(task_id))
    if run.state != ("success" if good else "failed"):
        yield Violation(run.run_id, f"the run is {run.state}, its build is {build['status']}", run.logs)
    if run.results["start_build"] != build["id"]:
        text = f"start_build returned {run.results['start_build']}, its build is {build['id']}"
        yield Violation(run.run_id, text, run.log("start_build"))
    if not good and not is_in_logs(run.log("wait_for_build"), f"Build {build['id']} ", str(build["status"])):
        text = f"no log of wait_for_build says that build {build['id']} ended as {build['status']}"
        yield Violation(run.run_id, text, run.log("wait_for_build"))


def _check_files(run: RunEvidence, builds: Sequence[Row], evidence: Evidence) -> Iterator[Violation]:
    """Each file under its final name is what the server has, and the manifest says so."""
    log = run.log("download_build")
    wanted = {d["id"]: d for d in evidence.downloads if d["build_id"] == builds[-1]["id"]}
    path = run.folder / "manifest.json"
    if not path.exists():
        if wanted:
            yield Violation(run.run_id, f"there is no {path}", log)
        return
    manifest = json.loads(path.read_text())
    if wanted and manifest != run.results["download_build"]:
        yield Violation(run.run_id, f"{path} is not what download_build returned", log)
    files = {file["download_id"]: file for file in manifest["files"]}
    if wanted and set(files) != set(wanted):
        yield Violation(run.run_id, f"the manifest has the downloads {sorted(files)}, the build {sorted(wanted)}", log)
    for download_id, file in files.items():
        content = Path(file["path"]).read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        if digest != evidence.contents.get(download_id):
            yield Violation(run.run_id, f"{file['path']} is not what the server has", log)
        if (len(content), digest) != (file["size"], file["sha256"]):
            yield Violation(run.run_id, f"{file['path']} is not what the manifest says", log)
    yield from _check_transfers(run, wanted, evidence)
    visible = {found.name for found in run.folder.iterdir() if not found.name.startswith(".")}
    named = {Path(file["path"]).name for file in files.values()} | {path.name}
    earlier = {build["id"] for build in builds[:-1]}
    left = {download["name"] for download in evidence.downloads if download["build_id"] in earlier}
    if not named <= visible <= named | left:
        yield Violation(run.run_id, f"{run.folder} holds {sorted(visible)}, not {sorted(named)}", log)


def _check_transfers(run: RunEvidence, wanted: Mapping[int, Row], evidence: Evidence) -> Iterator[Violation]:
    """No file is transferred more often than the task was attempted, and none again after a clear."""
    clears = run.clears_of("download_build")
    # A task that is cleared after its end finds all files of its build in place.
    needless = sum(clear.state in _ENDED and not clear.deleted for clear in clears)
    attempts = max([run.tasks["download_build"]["try_number"], *(clear.try_number for clear in clears)]) - needless
    for download_id in wanted:
        full = [
            request["id"]
            for request in evidence.requests
            if request["path"] == f"/api/v1/downloads/{download_id}"
            and (request["status"], request["fault"]) == (200, None)
        ]
        if len(full) > attempts:
            text = (
                f"download {download_id} was transferred in full {len(full)} times in {attempts} attempts: "
                f"requests {full}"
            )
            yield Violation(run.run_id, text, run.log("download_build"))


def _check_deployments(run: RunEvidence, builds: Sequence[Row], evidence: Evidence) -> Iterator[Violation]:
    """Each task that deploys did so once, and once more for each clear; only finished builds, the last one last."""
    mine = {build["id"]: build for build in builds}
    for task_id, target in _TARGETS.items():
        if task_id not in run.tasks:
            continue
        log, task = run.log(task_id), run.tasks[task_id]
        deployed = [row for row in evidence.deployments if row["build_id"] in mine and row[target] is not None]
        ids = [row["id"] for row in deployed]
        fewest, most = _expected_deployments(task["state"], run.clears_of(task_id))
        if not fewest <= len(ids) <= most:
            expected = f"{fewest}" if fewest == most else f"{fewest} to {most}"
            yield Violation(run.run_id, f"{task_id}: {len(ids)} deployments instead of {expected}: {ids}", log)
            continue
        for row in deployed:
            if mine[row["build_id"]]["status"] in _BAD:
                yield Violation(run.run_id, f"build deployment {row['id']} is of a build that did not finish", log)
        if task["state"] == "success":
            last = max(deployed, key=lambda row: int(row["id"]))
            if (run.results[task_id], last["build_id"]) != (last["id"], builds[-1]["id"]):
                text = f"{task_id} returned {run.results[task_id]} for build {builds[-1]['id']}, the last is {last}"
                yield Violation(run.run_id, text, log)


def _expected_deployments(state: str, clears: Sequence[Clear]) -> tuple[int, int]:
    """Return the fewest and the most deployments of a task: a clear during an attempt may count as its retry."""
    fewest = sum(each == "success" for each in (state, *(clear.state for clear in clears)))
    started = sum(clear.state in ("running", "queued", "up_for_retry", "failed") for clear in clears)
    return fewest, fewest + started


def _marker(build: Mapping[str, Any]) -> str:
    """Return the marker in the description of a build, or of a request to build."""
    found = _MARKER.search(build.get("description") or "")
    return found[0] if found else ""
