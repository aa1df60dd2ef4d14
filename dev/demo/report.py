"""The result of the nightly warehouse: what was built and what it cost, or the log of the task that failed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from dev.demo import chain
from dev.demo.chain import Finished
from dev.stack.rest import AirflowClient
from dev.stack.terminal import Terminal
from mkw_airflow_provider.emulator import Control

#: The task group of the DAG that the demo runs.
GROUP = "warehouse"
#: The chain itself lists no builds; another example DAG watches for builds of people.
LIST, WATCHER = "GET /api/v1/builds", "  (the watcher of metakraftwerk_deploy_persons_build)"


def success(terminal: Terminal, client: AirflowClient, control: Control, finished: Finished) -> None:
    """Show what was selected, built, downloaded and deployed, what it cost, and the web page of the run."""
    dag_id, run_id = finished.dag_id, finished.run_id
    selection = client.xcom(dag_id, run_id, f"{GROUP}.start", "selection")
    manifest = client.xcom(dag_id, run_id, f"{GROUP}.download")
    build_id = manifest["build_id"]
    (build,) = (build for build in control.builds() if build["id"] == build_id)
    wait = chain.times(finished, f"{GROUP}.wait")
    terminal.title(f"Build {build_id}")
    terminal.fact("selected", _counts(len(selection["ids"]), "instance", selection["by_pattern"]))
    terminal.fact("excluded", _counts(sum(selection["excluded"].values()), "instance", selection["excluded"]))
    for name in selection["excluded_names"]:
        terminal.fact("", name)
    terminal.fact("built", f"{len(build['instance_ids'])} instances, {build['status']}")
    terminal.fact("files", f"{len(manifest['files'])} in {_folder(manifest)}")
    for file in manifest["files"]:
        terminal.fact("", f"{file['name']}, {file['size']:,} bytes, sha256 {file['sha256'][:16]}…")
    deployed = [row for row in control.build_deployments() if row["build_id"] == build_id]
    unchanged = sum(
        task["state"] == "skipped" for task in finished.task_instances if ".deploy_" in str(task["task_id"])
    )
    terminal.fact("changed", f"{len(manifest['files']) - unchanged} of {len(manifest['files'])} patterns")
    terminal.fact("deployed", f"{len(deployed)} patterns")
    patterns = {file["pattern_id"]: file["pattern"] for file in manifest["files"]}
    for row in deployed:
        terminal.fact("", f"{patterns[row['pattern_id']]}, build deployment {row['id']}, {row['status']}")
    terminal.fact("waited", f"{wait.total:.1f} s, of which a worker was used for {wait.on_worker:.1f} s")
    for number, (kind, count) in enumerate(requests_by_kind(control.requests()).items()):
        terminal.fact("" if number else "requests", f"{count:>4} {kind}{WATCHER if kind == LIST else ''}")
    terminal.fact("web page", page(client, finished))


def _counts(total: int, noun: str, parts: Mapping[str, int]) -> str:
    """Return a number with its parts, as in `9 instances (CORE_DV_HLS: 6, CORE_DV_SAT: 3)`."""
    listed = ", ".join(f"{name}: {count}" for name, count in parts.items())
    return f"{total} {noun}{'' if total == 1 else 's'}{f' ({listed})' if listed else ''}"


def _folder(manifest: Mapping[str, Any]) -> str:
    return str(manifest["files"][0]["path"]).removeprefix("file://").rpartition("/")[0]


def failure(terminal: Terminal, client: AirflowClient, finished: Finished) -> None:
    """Show the log of each task that failed, and the tasks that did not run because of it."""
    failed = [task for task in finished.task_instances if task["state"] == "failed"]
    for task in failed:
        index = task["map_index"]
        terminal.title(f"Log of {task['task_id']}{f'[{index}]' if index >= 0 else ''}, attempt {task['try_number']}")
        log = client.log(
            finished.dag_id, finished.run_id, task["task_id"], try_number=task["try_number"], map_index=index
        )
        for line in unfolded(log):
            terminal.line(f"  {line}")
    not_run = [task["task_id"] for task in finished.task_instances if task["state"] == "upstream_failed"]
    terminal.line()
    if not_run:
        terminal.fact("did not run", ", ".join(not_run))
    terminal.fact("web page", page(client, finished))


def page(client: AirflowClient, finished: Finished) -> str:
    """Return the address of the run on Airflow's web page."""
    return f"{client.url}/dags/{finished.dag_id}/runs/{finished.run_id}"


def unfolded(log: str) -> Iterator[str]:
    """Yield a task's log without the lines that Airflow groups around the task, unless they have warnings or errors."""
    folded = False
    for line in log.splitlines():
        if "::group::" in line or "::endgroup::" in line:
            folded = "::group::" in line
            continue
        if re.match(r"[0-9:]{8} (WARNING|ERROR|CRITICAL)", line):
            folded = False
        if not folded:
            yield line


def requests_by_kind(requests: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Count requests by method and path, with `:id` in place of ids, sorted by first occurrence."""
    return dict(Counter(f"{each['method']} {re.sub('/[0-9]+(?=/|$)', '/:id', each['path'])}" for each in requests))
