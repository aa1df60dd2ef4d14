"""What must hold after all nights, whatever happened in them."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaos.evidence import Evidence, RunEvidence
from chaos.kinds import STEPS

_MARKER = re.compile(r"run (\S+) (\[airflow:[0-9a-f]{16}\])$")

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
    found = [*_builds(evidence), *_requests(evidence), *_logins(evidence), *_secrets(evidence)]
    mine = {run.run_id: _builds_of(run, evidence) for run in evidence.runs}
    for run in evidence.runs:
        if len(mine[run.run_id]) != 1:
            text = f"{len(mine[run.run_id])} builds for one series of tries: {[b['id'] for b in mine[run.run_id]]}"
            found.append(Violation(run.run_id, text, run.log("start_build")))
            continue
        (build,) = mine[run.run_id]
        found += [*_ending(run, build), *_files(run, build, evidence), *_deployments(run, build, evidence)]
    return found


def _builds(evidence: Evidence) -> Iterator[Violation]:
    """Each build belongs to one run, and no marker has two."""
    runs = {run.run_id: run for run in evidence.runs}
    markers: Counter[str] = Counter()
    for build in evidence.builds:
        run_id, marker = _mark(build["description"])
        if run_id not in runs:
            yield Violation(
                None, f"build {build['id']} belongs to no run: {build['description']!r}", evidence.server_log
            )
        markers[marker] += 1
    for marker, count in markers.items():
        if count > 1:
            yield Violation(None, f"{count} builds have the marker {marker}", evidence.server_log)


def _requests(evidence: Evidence) -> Iterator[Violation]:
    """No request without a cause, no error that was not ordered, nothing that may not be repeated sent twice."""
    for request in evidence.requests:
        line = f"request {request['id']}, {request['method']} {request['path']}"
        if not any(request["method"] == method and re.fullmatch(path, request["path"]) for method, path in _KNOWN):
            yield Violation(None, f"{line}: the chain has no reason to send it", evidence.server_log)
        if request["fault"] is None and (request["status"] or 0) >= 400:
            yield Violation(None, f"{line}: {request['status']}, which nobody ordered", evidence.server_log)
    for path, key in (("/api/v1/builds", _series), ("/api/v1/build_deployments", _build)):
        sent: dict[Any, list[Mapping[str, Any]]] = {}
        for request in evidence.requests:
            if request["method"] == "POST" and request["path"] == path:
                sent.setdefault(key(request["body"]), []).append(request)
        for whose, requests in sent.items():
            # One that the server took to its grave has no end; whether it worked is what the other checks see.
            carried_out = [r["id"] for r in requests if r["seconds"] is not None and not _did_nothing(r)]
            if len(carried_out) > 1:
                text = f"POST {path} for {whose} was carried out {len(carried_out)} times: requests {carried_out}"
                yield Violation(None, text, evidence.server_log)


def _logins(evidence: Evidence) -> Iterator[Violation]:
    """One login serves a process: a try, the rest of a try after its wait, a triggerer; and one each refused token."""
    processes = evidence.triggerers
    for run in evidence.runs:
        processes += sum(task["try_number"] for task in run.tasks.values()) + run.tasks["wait_for_build"]["try_number"]
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
    good = build["status"] == "FINISHED"
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
    tries = run.tasks["download_build"]["try_number"]
    for download_id in wanted:
        whole = [r["id"] for r in _fetches(evidence, download_id) if r["status"] == 200 and r["fault"] is None]
        if len(whole) > tries:
            text = f"download {download_id} was fetched whole {len(whole)} times in {tries} tries: requests {whole}"
            yield Violation(run.run_id, text, log)
    visible = {found.name for found in run.folder.iterdir() if not found.name.startswith(".")}
    named = {Path(file["path"]).name for file in files.values()} | {path.name}
    if visible != named:
        yield Violation(run.run_id, f"{run.folder} holds {sorted(visible)}, not {sorted(named)}", log)


def _deployments(run: RunEvidence, build: Mapping[str, Any], evidence: Evidence) -> Iterator[Violation]:
    """A finished build is deployed once, another one not at all."""
    ids = [each["id"] for each in evidence.deployments if each["build_id"] == build["id"]]
    expected = int(build["status"] == "FINISHED")
    if len(ids) != expected:
        yield Violation(run.run_id, f"{len(ids)} deployments instead of {expected}: {ids}", run.log("deploy_build"))
    elif ids and run.results["deploy_build"] != ids[0]:
        text = f"deploy_build returned {run.results['deploy_build']}, the deployment is {ids[0]}"
        yield Violation(run.run_id, text, run.log("deploy_build"))


def _builds_of(run: RunEvidence, evidence: Evidence) -> list[Mapping[str, Any]]:
    return [build for build in evidence.builds if _mark(build["description"])[0] == run.run_id]


def _fetches(evidence: Evidence, download_id: int) -> list[Mapping[str, Any]]:
    return [r for r in evidence.requests if r["path"] == f"/api/v1/downloads/{download_id}"]


def _mark(description: str | None) -> tuple[str, str]:
    """Return the run and the marker that a description ends with."""
    found = _MARKER.search(description or "")
    return (found[1], found[2]) if found else ("", "")


def _series(body: Any) -> str:
    return " ".join(_mark((body or {}).get("description")))


def _build(body: Any) -> str:
    return f"build {(body or {}).get('build_id')}"


def _did_nothing(request: Mapping[str, Any]) -> bool:
    return (request["fault"], request["status"]) in _DID_NOTHING


def _says(folder: Path, text: str) -> bool:
    return any(text in log.read_text(errors="replace") for log in folder.glob("*.log"))
