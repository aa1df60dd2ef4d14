"""What must hold after all nights, whatever happened in them."""

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

from chaos.evidence import Evidence, RunEvidence
from chaos.kinds import STEPS
from mkw_airflow_provider.client.flows.build_marker import BuildMarker

_MARKER = re.compile(r"\[airflow:[0-9a-f]{16}\]$")
_BAD = frozenset({"FAILED", "CANCELED"})

#: Answers that say, or show in the plan of chaos, that the server did nothing: `kinds` sees to it.
_DID_NOTHING = frozenset({("close", None), ("status", 503), ("status", 429)})

#: Every request that the chain has a reason to send.
_KNOWN = (
    ("POST", r"/authentication"),
    ("POST", r"/api/v1/builds"),
    ("GET", r"/api/v1/builds"),
    ("GET", r"/api/v1/builds/\d+"),
    ("GET", r"/api/v1/downloads/\d+"),
    ("GET", r"/api/v1/build_deployments"),
    ("POST", r"/api/v1/build_deployments"),
)


@dataclass(frozen=True)
class Violation:
    """Something that must not be.

    :param run_id: the run that it happened to; None: none in particular.
    :param log: the file or folder to look into.
    """

    run_id: str | None
    text: str
    log: Path

    def __str__(self) -> str:
        return f"{self.run_id or 'server'}: {self.text}\n    see {self.log}"


def violations(evidence: Evidence) -> list[Violation]:
    """Return everything that does not hold."""
    found = [*_strays(evidence), *_requests(evidence), *_logins(evidence), *_secrets(evidence)]
    for run in evidence.runs:
        found += _clears(run)
        wrong = list(_series(run, evidence))
        found += wrong
        if not wrong:
            builds = [build for series in _builds(run, evidence).values() for build in series]
            found += [
                *_ending(run, builds[-1]),
                *_files(run, builds[-1], evidence),
                *_deployments(run, builds, evidence),
            ]
    return found


def _strays(evidence: Evidence) -> Iterator[Violation]:
    """Each build belongs to a series of tries that asked for one."""
    known = {build["id"] for run in evidence.runs for series in _builds(run, evidence).values() for build in series}
    for build in evidence.builds:
        if build["id"] not in known:
            text = f"no task asked for build {build['id']}: {build['description']!r}"
            yield Violation(None, text, evidence.server_log)


def _clears(run: RunEvidence) -> Iterator[Violation]:
    """A clear begins a new series of tries, and nothing else does."""
    for task_id, series in run.series.items():
        clears = [clear for clear in run.clears if clear.task_id == task_id]
        possible = {1, *(clear.after_try + 1 for clear in clears)}
        certain = {clear.after_try + 1 for clear in clears if not clear.ran}
        if run.tasks[task_id]["state"] == "upstream_failed":
            certain = set()
        if not certain <= set(series) <= possible:
            text = f"series of {task_id} begin with the tries {series}; it was cleared: {clears}"
            yield Violation(run.run_id, text, run.log(task_id))


def _series(run: RunEvidence, evidence: Evidence) -> Iterator[Violation]:
    """A series has one build; a further one only if the one before had ended badly when it was asked for."""
    for first_try, builds in _builds(run, evidence).items():
        ids = [build["id"] for build in builds]
        caused = all(
            before["status"] in _BAD and before["build_end"] <= after["build_start"]
            for before, after in itertools.pairwise(builds)
        )
        if not builds or not caused:
            text = f"{len(builds)} builds for the series that begins with try {first_try}: {ids}"
            yield Violation(run.run_id, text, run.log("start_build"))


def _requests(evidence: Evidence) -> Iterator[Violation]:
    """No request without a cause, no error that was not ordered, nothing that may not be repeated sent twice."""
    for request in evidence.requests:
        line = f"request {request['id']}, {request['method']} {request['path']}"
        if not any(request["method"] == method and re.fullmatch(path, request["path"]) for method, path in _KNOWN):
            yield Violation(None, f"{line}: the chain has no reason to send it", evidence.server_log)
        if request["fault"] is None and (request["status"] or 0) >= 400:
            yield Violation(None, f"{line}: {request['status']}, which nobody ordered", evidence.server_log)
    builds = Counter(_mark(build) for build in evidence.builds)
    deployments = Counter(deployment["build_id"] for deployment in evidence.deployments)
    yield from _sent_once(evidence, "/api/v1/builds", _mark, builds)
    yield from _sent_once(evidence, "/api/v1/build_deployments", lambda body: body["build_id"], deployments)


def _sent_once(
    evidence: Evidence, path: str, whose: Callable[[Mapping[str, Any]], Any], made: Counter[Any]
) -> Iterator[Violation]:
    """No `POST` was carried out beyond those of which the result is there."""
    carried_out: dict[Any, list[int]] = {}
    for request in evidence.requests:
        # One that the server took to its grave has no end; whether it worked is what the other checks see.
        ended = (request["method"], request["path"]) == ("POST", path) and request["seconds"] is not None
        if ended and (request["fault"], request["status"]) not in _DID_NOTHING:
            carried_out.setdefault(whose(request["body"] or {}), []).append(request["id"])
    for key, ids in carried_out.items():
        if len(ids) > made[key]:
            text = f"POST {path} for {key} was carried out {len(ids)} times, {made[key]} are there: requests {ids}"
            yield Violation(None, text, evidence.server_log)


def _logins(evidence: Evidence) -> Iterator[Violation]:
    """One login serves a process: a try, the rest of a try after its wait, a triggerer; and one each refused token."""
    processes = evidence.triggerers
    for run in evidence.runs:
        waits = (run.tasks[task_id]["try_number"] for task_id in STEPS[:2])
        processes += sum(task["try_number"] for task in run.tasks.values()) + sum(waits)
    refused = sum(request["status"] == 401 for request in evidence.requests)
    logins = sum(r["path"] == "/authentication" and r["status"] == 201 for r in evidence.requests)
    if logins > processes + refused:
        text = f"{logins} logins of {processes} processes, {refused} of whose requests were refused"
        yield Violation(None, text, evidence.server_log)


def _secrets(evidence: Evidence) -> Iterator[Violation]:
    """No log and no file of Airflow's holds the password or a token, nor does its database."""
    for path in evidence.home.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            if any(secret.encode() in content for secret in evidence.secrets):
                yield Violation(None, "the password or a token stands in a file", path)


def _ending(run: RunEvidence, build: Mapping[str, Any]) -> Iterator[Violation]:
    """The run ended as its build did, and the start handed the right build on."""
    good = build["status"] not in _BAD
    expected = dict.fromkeys(STEPS, "success")
    if not good:
        expected.update(wait_for_build="failed", download_build="upstream_failed", deploy_build="upstream_failed")
    for task_id, state in expected.items():
        task = run.tasks[task_id]
        if task["state"] != state:
            text = f"{task_id} is {task['state']} after try {task['try_number']}, its build {build['status']}"
            yield Violation(run.run_id, text, run.log(task_id))
    if run.state != ("success" if good else "failed"):
        yield Violation(run.run_id, f"the run is {run.state}, its build {build['status']}", run.logs)
    if run.results["start_build"] != build["id"]:
        text = f"start_build returned {run.results['start_build']}, its build is {build['id']}"
        yield Violation(run.run_id, text, run.log("start_build"))
    if not good and not _says(run.log("wait_for_build"), f"Build {build['id']} ended {build['status']}"):
        text = f"no log of wait_for_build says that build {build['id']} ended {build['status']}"
        yield Violation(run.run_id, text, run.log("wait_for_build"))


def _files(run: RunEvidence, build: Mapping[str, Any], evidence: Evidence) -> Iterator[Violation]:
    """Under its final name each file is what the server has, and the manifest says so."""
    log = run.log("download_build")
    wanted = {d["id"]: d for d in evidence.downloads if d["build_id"] == build["id"]}
    path = run.folder / "manifest.json"
    if not path.exists():
        if wanted:
            yield Violation(run.run_id, f"there is no {path}", log)
        return
    manifest = json.loads(path.read_text())
    if manifest != run.results["download_build"]:
        yield Violation(run.run_id, f"{path} is not what download_build returned", log)
    files = {file["download_id"]: file for file in manifest["files"]}
    if set(files) != set(wanted):
        yield Violation(run.run_id, f"the manifest has the downloads {sorted(files)}, the build {sorted(wanted)}", log)
    for download_id, file in files.items():
        content = Path(file["path"]).read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        if digest != evidence.contents.get(download_id):
            yield Violation(run.run_id, f"{file['path']} is not what the server has", log)
        if (len(content), digest) != (file["size"], file["sha256"]):
            yield Violation(run.run_id, f"{file['path']} is not what the manifest says", log)
    # A task that was cleared after its end finds all files of its build in place.
    ended = [clear for clear in run.clears if clear.task_id == "download_build" and clear.after_try and not clear.ran]
    tries = run.tasks["download_build"]["try_number"] - len(ended)
    for download_id in wanted:
        whole = [r["id"] for r in _fetches(evidence, download_id) if r["status"] == 200 and r["fault"] is None]
        if len(whole) > tries:
            text = f"download {download_id} was fetched whole {len(whole)} times in {tries} tries: requests {whole}"
            yield Violation(run.run_id, text, log)
    visible = {found.name for found in run.folder.iterdir() if not found.name.startswith(".")}
    named = {Path(file["path"]).name for file in files.values()} | {path.name}
    earlier = {build["id"] for series in _builds(run, evidence).values() for build in series} - {build["id"]}
    left = {download["name"] for download in evidence.downloads if download["build_id"] in earlier}
    if not named <= visible <= named | left:
        yield Violation(run.run_id, f"{run.folder} holds {sorted(visible)}, not {sorted(named)}", log)


def _deployments(run: RunEvidence, builds: Sequence[Mapping[str, Any]], evidence: Evidence) -> Iterator[Violation]:
    """Each series of deploy_build deployed once, what was FINISHED, and the last one the last build."""
    mine = {build["id"]: build for build in builds}
    deployed = [each for each in evidence.deployments if each["build_id"] in mine]
    ids, expected, log = [each["id"] for each in deployed], len(run.series["deploy_build"]), run.log("deploy_build")
    if len(ids) != expected:
        yield Violation(run.run_id, f"{len(ids)} deployments instead of {expected}: {ids}", log)
        return
    for each in deployed:
        if mine[each["build_id"]]["status"] in _BAD:
            yield Violation(run.run_id, f"build deployment {each['id']} is of a build that has not finished", log)
    if run.tasks["deploy_build"]["state"] == "success":
        last = max(deployed, key=lambda each: int(each["id"]))
        if (run.results["deploy_build"], last["build_id"]) != (last["id"], builds[-1]["id"]):
            text = (
                f"deploy_build returned {run.results['deploy_build']} for build {builds[-1]['id']}, the last is {last}"
            )
            yield Violation(run.run_id, text, log)


def _builds(run: RunEvidence, evidence: Evidence) -> dict[int, list[Mapping[str, Any]]]:
    """Return the builds of each series of start_build, by its first try, oldest first."""
    found = {}
    for first_try in run.series["start_build"]:
        marker = BuildMarker(run.dag_id, run.run_id, "start_build", -1, first_try).marker
        found[first_try] = sorted(
            (b for b in evidence.builds if _mark(b) == marker), key=lambda build: int(build["id"])
        )
    return found


def _fetches(evidence: Evidence, download_id: int) -> list[Mapping[str, Any]]:
    return [r for r in evidence.requests if r["path"] == f"/api/v1/downloads/{download_id}"]


def _mark(build: Mapping[str, Any]) -> str:
    """Return the marker that the description of a build, or of an order to build, ends with."""
    found = _MARKER.search(build.get("description") or "")
    return found[0] if found else ""


def _says(folder: Path, text: str) -> bool:
    return any(text in log.read_text(errors="replace") for log in folder.glob("*.log"))
