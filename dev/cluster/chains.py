"""What the chains of some DAG runs have left, in the form that the invariants of `dev.chaos` check."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dev.chaos.evidence import Evidence, Row, RunEvidence, is_in_logs, read_contents
from dev.chaos.invariants import Violation, builds_of, find_violations
from dev.cluster.site import Site

STEPS = ("start_build", "wait_for_build", "download_build", "deploy_build")


@dataclass(frozen=True)
class Chain:
    """One chain: a DAG run, or one index of a mapped one.

    :param name: as in the description of its build.
    :param tasks: its task instances by task.
    :param events: what workers have reported of each task, oldest first.
    """

    dag_id: str
    run_id: str
    map_index: int
    tasks: Mapping[str, Row]
    events: Mapping[str, Sequence[Row]]
    results: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The name of the chain, as in the description of its build."""
        return self.run_id if self.map_index < 0 else f"{self.run_id}_{self.map_index}"

    @property
    def attempts(self) -> int:
        """How many attempts its tasks took beyond one each."""
        return sum(max(0, int(task["try_number"]) - 1) for task in self.tasks.values())


def read_chains(site: Site, dag_id: str, run_ids: Sequence[str]) -> list[Chain]:
    """Read the chains of some runs of a DAG."""
    tasks: dict[tuple[str, int], dict[str, Row]] = defaultdict(dict)
    events: dict[tuple[str, int], dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
    results: dict[tuple[str, int], dict[str, Any]] = defaultdict(dict)
    for row in site.database.tasks(dag_id, run_ids):
        if row["task_id"] in STEPS:
            tasks[row["run_id"], row["map_index"]][row["task_id"]] = row
    for row in site.database.events(dag_id, run_ids):
        events[row["run_id"], row["map_index"]][row["task_id"]].append(row)
    for row in site.database.results(dag_id, run_ids):
        results[row["run_id"], row["map_index"]][row["task_id"]] = row["value"]
    return [
        Chain(dag_id, run_id, index, tasks[run_id, index], events[run_id, index], results[run_id, index])
        for run_id, index in sorted(tasks)
    ]


def collect(site: Site, chains: Iterable[Chain]) -> Evidence:
    """Collect what all chains have left."""
    # The log comes first: what follows sends requests to the server, too.
    log = site.control.requests()
    downloads = site.control.downloads()
    return Evidence(
        runs=[_run(site, chain) for chain in chains],
        requests=log,
        builds=site.control.builds(),
        downloads=downloads,
        deployments=site.control.build_deployments(),
        triggerers=2 + sum(count for name, count in site.cluster.restarts.items() if name.startswith("triggerer")),
        rotations=site.revocations,
        secrets=[*site.passwords, *(token["token"] for token in site.control.tokens())],
        home=site.stack.home,
        contents=read_contents(site.control, site.passwords[-1], [download["id"] for download in downloads]),
        server_log=site.emulator.log,
    )


def check(evidence: Evidence) -> list[Violation]:
    """Return every violation: those of `dev.chaos`, and waits whose worker did not log what the triggerer saw."""
    return [*find_violations(evidence), *_check_histories(evidence)]


def _run(site: Site, chain: Chain) -> RunEvidence:
    good = all(chain.tasks[step]["state"] == "success" for step in STEPS)
    return RunEvidence(
        dag_id=chain.dag_id,
        run_id=chain.name,
        state="success" if good else "failed",
        tasks=chain.tasks,
        clears=(),
        results={step: chain.results.get(step) for step in STEPS},
        folder=site.results / chain.name,
        logs=site.stack.home / "logs" / f"dag_id={chain.dag_id}" / f"run_id={chain.run_id}",
        map_index=chain.map_index,
    )


def _check_histories(evidence: Evidence) -> Iterator[Violation]:
    """The worker that resumes logs all polls: without shared logs, nobody can read what the triggerer wrote."""
    for run in evidence.runs:
        builds = builds_of(run, evidence)
        log = run.log("wait_for_build")
        # Where Redis lost the message to resume, Airflow makes a new attempt, which may not have to wait.
        attempt = f"attempt={run.tasks['wait_for_build']['try_number']}.log"
        if run.state != "success" or not is_in_logs(log, "Waiting for build", name=attempt):
            continue
        if not is_in_logs(log, f"Build {builds[-1]['id']}: polled ", name=attempt):
            yield Violation(run.run_id, "no worker has logged the history of the wait", log)
