"""Waiting for five thousand builds in one process, as a triggerer of that capacity does."""

from __future__ import annotations

from dev.benchmarks.clients import triggers
from dev.benchmarks.clients.floor import AS_TRIGGER
from dev.benchmarks.harness import Plan, Table, Target, progress, run_client
from dev.benchmarks.servers.certificates import Authority
from dev.benchmarks.servers.process import serving

OURS = triggers.KINDS[0]


def run(plan: Plan, authority: Authority) -> list[Table]:
    """Measure and return the table."""
    count, settled, seconds = plan.size(5000, 300), plan.size(20, 6), plan.size(60, 12)
    # One round: nothing is compared, and memory does not depend on the load of the machine.
    progress(f"{count} builds ...")
    # A build takes this long from its first poll, so that all are being waited for when the memory is read.
    measured = {}
    for kind in (OURS, AS_TRIGGER):
        with serving("polls", authority, seconds=seconds) as server:
            name, value = triggers.connection(OURS, server.url)
            job = {"kind": kind, "url": server.url, "count": count, "interval": 30.0, "settled": settled}
            measured[kind] = run_client("triggerer", job, {name: value, **authority.environment}) | server.counts()
    progress("")
    figures, bare = measured[OURS], measured[AS_TRIGGER]
    return [
        Table(
            name="waiting",
            title=f"Waiting for {count} builds in one process",
            note=f"Over HTTPS, longest pause 30 s, each build of {seconds} s. Memory: per trigger beyond the first "
            "hundred, without what Airflow itself keeps for a trigger (its log, its row in the database).",
            columns=("what", "measured"),
            rows=[
                ["failures", figures["failures"]],
                ["polls", figures["polls"]],
                ["logins", figures["logins"]],
                ["connections opened", figures["connections"]],
                ["memory per trigger, kB", figures["memory"] / 1000],
                ["peak memory per trigger, kB", figures["peak_memory"] / 1000],
                ["memory of a bare loop on aiohttp as a trigger, kB", bare["memory"] / 1000],
                ["event loop lag, p99, ms", 1000 * figures["lag_p99"]],
            ],
            targets=[
                Target(f"{count} builds in one process: failures", 0, figures["failures"], ""),
                Target(f"{count} builds in one process: logins", 1, figures["logins"], ""),
                Target(f"{count} builds in one process: connections opened", 10, figures["connections"], ""),
                Target(f"{count} builds in one process: memory per build", 20, figures["memory"] / 1000, "kB"),
            ],
        )
    ]
