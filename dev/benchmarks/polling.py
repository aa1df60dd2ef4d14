"""What a poll costs: CPU, connections and event loop lag, compared with the triggers of other providers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from dev.benchmarks.clients import triggers
from dev.benchmarks.clients.floor import AS_TRIGGER
from dev.benchmarks.harness import Figures, Plan, Rounds, Table, Target, interleaved, progress, run_client
from dev.benchmarks.servers.certificates import Authority
from dev.benchmarks.servers.process import serving

OURS = triggers.KINDS[0]
FLOOR, BARE_AIOHTTP = "floor", "bare aiohttp"
#: Seconds between two polls, the same for each provider; short, so that a measurement ends soon.
INTERVAL = 1.0
#: The same while nothing starts or ends: the shortest pause that this package chooses by itself.
STEADY_INTERVAL = 2.0
#: Polls until a build ends while nothing else does: one percent of progress per poll.
STEADY_POLLS = 100
#: A pause longer than aiohttp keeps an idle connection by default, 15 s.
LONG_INTERVAL = 20.0


def run(plan: Plan, authority: Authority) -> list[Table]:
    """Measure and return the tables."""
    return [
        _cpu("HTTP", None, plan),
        _cpu("HTTPS", authority, plan),
        _lag(plan, authority),
        _connections(plan, authority),
    ]


def waited(
    kind: str, authority: Authority | None, count: int, polls: int, interval: float, *, simultaneous: bool = False
) -> Figures:
    """Let triggers of one kind wait for a number of polls each, and return what one poll costs.

    :param simultaneous: all start at the same moment, as when a triggerer starts, and the lag of the event loop is
        measured, which costs CPU itself; otherwise the starts are spread over one interval.
    """
    with serving("polls", authority, polls=polls) as server:
        name, value = triggers.connection(kind if kind in triggers.KINDS else OURS, server.url)
        job = {"kind": kind, "url": server.url, "count": count, "interval": interval}
        job |= {"spread": 0.0 if simultaneous else interval, "heartbeat": simultaneous}
        figures = run_client("waiters", job, {name: value, **(authority.environment if authority else {})})
        counts = server.counts()
    # Without the trigger that ran first as a warm-up.
    asked = counts["polls"] - polls
    return {
        "cpu": 1000 * figures["cpu"] / asked,
        "most_open": counts["most_open"],
        "opened": counts["connections"],
        "connections_per_poll": counts["connections"] / counts["polls"],
        "failures": figures["failures"],
        **{name: 1000 * value for name, value in figures.items() if name.startswith(("lag", "busy"))},
    }


def steady(kind: str, authority: Authority | None, count: int, window: float, *, heartbeat: bool = False) -> Figures:
    """Let triggers of one kind wait, and return what one poll costs while none of them starts or ends.

    :param window: seconds for which it is measured.
    :param heartbeat: measure the lag of the event loop, too.
    """
    with serving("polls", authority, polls=STEADY_POLLS) as server:
        name, value = triggers.connection(kind if kind in triggers.KINDS else OURS, server.url)
        job = {"kind": kind, "url": server.url, "count": count, "interval": STEADY_INTERVAL, "window": window}
        job["heartbeat"] = heartbeat
        figures = run_client("steady", job, {name: value, **(authority.environment if authority else {})})
    lags = {name: 1000 * value for name, value in figures.items() if name.startswith(("lag", "busy"))}
    return {"steady_cpu": 1000 * figures["cpu"], "steady_failures": figures["failures"], **lags}


def _cpu(scheme: str, authority: Authority | None, plan: Plan) -> Table:
    count, polls, window = plan.size(100, 20), plan.size(10, 4), plan.size(8, 4)
    kinds = (*triggers.KINDS, FLOOR)

    def measure(kind: str) -> Figures:
        return {**steady(kind, authority, count, window), **waited(kind, authority, count, polls, INTERVAL)}

    rounds = interleaved(f"CPU per poll, {scheme}", plan, _subjects(kinds, measure))
    limits = {"dbt-cloud": 0.2, "databricks": 0.45, "airbyte": 0.05, FLOOR: 3.0}
    targets = [
        Target(f"CPU per poll over {scheme}, {what}, compared with {kind}", limit, rounds.ratio(OURS, kind, figure))
        for figure, what in (("steady_cpu", "while waiting"), ("cpu", "with start and end"))
        for kind, limit in limits.items()
    ]
    return Table(
        name=f"polling-{scheme.lower()}",
        title=f"CPU per poll over {scheme}",
        note=f"{count} triggers in one event loop. While waiting: all have started, none ends, {STEADY_INTERVAL:g} s "
        f"between two polls, one percent of progress per poll. With start and end: waits of {polls} polls, from the "
        f"first trigger's start to the last one's end, {INTERVAL:g} s between two polls. Milliseconds.",
        columns=(
            "trigger",
            "while waiting",
            "ratio",
            "with start and end",
            "ratio",
            "most open connections",
            "connections per poll",
            "failures",
        ),
        rows=[
            [
                kind,
                rounds.median(kind, "steady_cpu"),
                rounds.ratio(OURS, kind, "steady_cpu"),
                rounds.median(kind, "cpu"),
                rounds.ratio(OURS, kind, "cpu"),
                rounds.median(kind, "most_open"),
                rounds.median(kind, "connections_per_poll"),
                rounds.total(kind, "failures") + rounds.total(kind, "steady_failures"),
            ]
            for kind in kinds
        ],
        targets=targets,
    )


def many(plan: Plan, authority: Authority) -> list[Table]:
    """Measure many waiters alongside a bare loop, and return the table."""
    count, window = plan.size(1000, 50), plan.size(10, 4)
    kinds = (OURS, BARE_AIOHTTP, AS_TRIGGER)
    subjects = _subjects(kinds, lambda kind: steady(kind, authority, count, window, heartbeat=True))
    rounds = interleaved(f"{count} waiters", plan, subjects)
    return [
        Table(
            name="waiters",
            title=f"{count} waiters over HTTPS",
            note=f"{count} waiters in one event loop, {STEADY_INTERVAL:g} s between two polls; none starts or ends. "
            "Bare aiohttp: a loop of a few lines that decodes the JSON, without retry, log and Airflow; as a trigger: "
            "the same loop as Airflow runs it. Ratio: CPU of this package divided by that of the row.",
            columns=("waiter", "CPU per poll, ms", "ratio", "lag p99, ms", "lag max, ms", "failures"),
            rows=[
                [
                    kind,
                    rounds.median(kind, "steady_cpu"),
                    rounds.ratio(OURS, kind, "steady_cpu"),
                    rounds.median(kind, "lag_p99"),
                    rounds.median(kind, "lag_max"),
                    rounds.total(kind, "steady_failures"),
                ]
                for kind in kinds
            ],
            targets=[
                Target(
                    f"CPU per poll of {count} waiters over HTTPS compared with {BARE_AIOHTTP}",
                    1.15,
                    rounds.ratio(OURS, BARE_AIOHTTP, "steady_cpu"),
                ),
                Target(f"worst event loop lag of {count} waiters", 60, rounds.median(OURS, "lag_max"), "ms"),
            ],
        )
    ]


def _lag(plan: Plan, authority: Authority) -> Table:
    count, polls = plan.size(1000, 50), 3
    # Airbyte's triggers block the loop from start to end, for more than a minute with a thousand of them.
    kinds = [kind for kind in triggers.KINDS if kind != "airbyte"]
    subjects = _subjects(kinds, lambda kind: waited(kind, authority, count, polls, INTERVAL, simultaneous=True))
    rounds = interleaved("event loop", plan, subjects)
    return Table(
        name="event-loop",
        title=f"Event loop lag with {count} triggers",
        note=f"{count} triggers over HTTPS that start at the same moment, {polls} polls each, {INTERVAL:g} s between "
        "two polls. Lag: how late a task that sleeps for 10 ms wakes up. Busy: CPU time of the loop's "
        "thread between two wake-ups.",
        columns=("trigger", "lag p99, ms", "lag max, ms", "busy p99, ms", "busy max, ms", "failures"),
        rows=[
            [
                kind,
                *(rounds.median(kind, figure) for figure in ("lag_p99", "lag_max", "busy_p99", "busy_max")),
                rounds.total(kind, "failures"),
            ]
            for kind in kinds
        ],
        targets=[
            Target("event loop lag, p99, compared with dbt-cloud", 0.1, rounds.ratio(OURS, "dbt-cloud", "lag_p99"))
        ],
    )


def _connections(plan: Plan, authority: Authority) -> Table:
    count, polls, interval = plan.size(100, 20), 3, LONG_INTERVAL if not plan.quick else 2.0
    progress("connections ...")
    subjects = _subjects(triggers.KINDS, lambda kind: waited(kind, authority, count, polls, interval))
    # In parallel and in one round: connections are counted, not timed.
    with ThreadPoolExecutor() as pool:
        running = {kind: pool.submit(subject) for kind, subject in subjects.items()}
        rounds = Rounds()
        for kind, figures in running.items():
            rounds.add(kind, figures.result())
    progress("")
    return Table(
        name="connections",
        title=f"Connections with a pause of {interval:g} s",
        note=f"{count} triggers over HTTPS, {polls} polls each. Counted by the server. By default, aiohttp closes "
        "a connection that was idle for 15 s.",
        columns=("trigger", "most open connections", "connections per poll"),
        rows=[
            [kind, rounds.median(kind, "most_open"), rounds.median(kind, "connections_per_poll")]
            for kind in triggers.KINDS
        ],
        targets=[
            Target(
                f"connections of {count} triggers, pause of {interval:g} s",
                # Ten, and one of the warm-up trigger.
                11,
                rounds.median(OURS, "opened"),
                "",
            )
        ],
    )


def _subjects(kinds: Sequence[str], measure: Callable[[str], Figures]) -> dict[str, Callable[[], Figures]]:
    return {kind: partial(measure, kind) for kind in kinds}
