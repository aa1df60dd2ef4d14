"""Durations of builds: the median, and a chart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any, NamedTuple

from mkw_airflow_provider.client.api.builds import Build, BuildStatus

#: How many builds count for the median, and how many the chart shows.
MEDIAN_OF, CHARTED = 20, 40
CHART_WIDTH, CHART_HEIGHT = 800, 120


class Usual(NamedTuple):
    """How long builds usually take.

    :param seconds: the median.
    :param builds: of how many builds.
    """

    seconds: float
    builds: int


def usual_duration(builds: Iterable[Build], like: Build) -> Usual | None:
    """Return the median duration of the newest FINISHED builds of the same patterns before a build.

    :param builds: newest first.
    """
    durations: list[float] = []
    for build in builds:
        seconds = build.seconds
        is_like = build.status == BuildStatus.FINISHED and sorted(build.patterns) == sorted(like.patterns)
        if build.id < like.id and is_like and seconds is not None:
            durations.append(seconds)
        if len(durations) == MEDIAN_OF:
            break
    return Usual(median(durations), len(durations)) if durations else None


def chart(builds: Sequence[Build], describe: Any) -> dict[str, Any] | None:
    """Return the bars of a chart of durations, oldest first; None without any build that has ended.

    :param builds: newest first.
    :param describe: returns the text of a bar.
    """
    shown = [(build, seconds) for build in builds if (seconds := build.seconds) is not None][:CHARTED]
    if not shown:
        return None
    highest = max(seconds for _, seconds in shown) or 1.0
    step = CHART_WIDTH / max(len(shown), 10)
    bars = []
    for number, (build, seconds) in enumerate(reversed(shown)):
        height = max(2.0, CHART_HEIGHT * seconds / highest)
        bars.append(
            {
                "x": round(number * step, 1),
                "y": round(CHART_HEIGHT - height, 1),
                "width": round(step * 0.75, 1),
                "height": round(height, 1),
                "status": str(build.status).lower() if build.has_ended else "unknown",
                "text": describe(build, seconds),
            }
        )
    return {"bars": bars, "width": CHART_WIDTH, "height": CHART_HEIGHT, "highest": highest, "count": len(bars)}
