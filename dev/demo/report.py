"""The result of the nightly chain: its files and what it cost, or the log of the task that failed."""

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


def success(terminal: Terminal, client: AirflowClient, control: Control, finished: Finished) -> None:
    """Show the files, the deployment, the cost of the wait, the requests, and the web page of the run."""
    manifest = client.xcom(finished.dag_id, finished.run_id, "download_build")
    deployment = client.xcom(finished.dag_id, finished.run_id, "deploy_build")
    wait = chain.times(finished, "wait_for_build")
    terminal.title(f"Build {manifest['build_id']}")
    for file in manifest["files"]:
        terminal.fact(file["pattern"], f"{file['path']}")
        terminal.fact("", f"{file['size']:,} bytes, sha256 {file['sha256']}")
    terminal.fact("deployed as", f"build deployment {deployment}")
    terminal.fact("waited", f"{wait.total:.1f} s, of which a worker was used for {wait.on_worker:.1f} s")
    (kind, count), *others = requests_by_kind(control.requests()).items()
    terminal.fact("requests", f"{count:>4} {kind}")
    for kind, count in others:
        terminal.fact("", f"{count:>4} {kind}")
    terminal.fact("web page", page(client, finished))


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
