"""Five thousand builds waited for in one process, as a triggerer of that capacity would."""

from __future__ import annotations

from dev.benchmarks.clients import triggers
from dev.benchmarks.harness import Plan, Table, Target, measured, progress
from dev.benchmarks.servers.certificates import Authority
from dev.benchmarks.servers.process import serving


def run(plan: Plan, authority: Authority) -> list[Table]:
    """Measure, and return the table."""
    count, settled, seconds = plan.size(5000, 300), plan.size(20, 6), plan.size(60, 12)
    # Once: nothing is compared, and memory does not depend on what else the machine does.
    progress(f"{count} builds ...")
    # Each build goes on for so long after it was first asked for, so that all wait when the memory is read.
    with serving("polls", authority, seconds=seconds) as server:
        name, value = triggers.connection("metakraftwerk", server.url)
        order = {"url": server.url, "count": count, "interval": 30.0, "settled": settled}
        figures = measured("triggerer", order, {name: value, **authority.environment})
        figures |= server.counts()
    progress("")
    return [
        Table(
            name="waiting",
            title=f"{count} builds waited for in one process",
            note=f"Over HTTPS, longest pause 30 s, each build of {seconds} s. Memory: what each one adds to the first "
            "hundred. What Airflow itself keeps for a trigger (its log, its place in the database) is not in it.",
            columns=("what", "measured"),
            rows=[
                ["failures", figures["failures"]],
                ["polls", figures["polls"]],
                ["logins", figures["logins"]],
                ["connections opened", figures["connections"]],
                ["memory per trigger, kB", figures["memory"] / 1000],
                ["memory per trigger at the highest, kB", figures["peak_memory"] / 1000],
                ["event loop's lag, 99th percentile, ms", 1000 * figures["lag_p99"]],
            ],
            targets=[
                Target(f"{count} builds in one process: failures", 0, figures["failures"], ""),
                Target(f"{count} builds in one process: logins", 1, figures["logins"], ""),
                Target(f"{count} builds in one process: connections opened", 10, figures["connections"], ""),
                Target(f"{count} builds in one process: memory for each", 25, figures["memory"] / 1000, "kB"),
            ],
        )
    ]
