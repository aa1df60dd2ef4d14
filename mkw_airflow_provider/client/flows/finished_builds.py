"""Which builds have finished since the last poll, whoever started them."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from mkw_airflow_provider.client.api.builds import Build, BuildHead, list_build_heads
from mkw_airflow_provider.client.api.patterns import find_patterns
from mkw_airflow_provider.client.session import ApiSession, Flow, Offload
from mkw_airflow_provider.client.text import quote_value
from mkw_airflow_provider.exceptions import ConfigurationError
from mkw_airflow_provider.safe_values import restored_integer, restored_integers

#: Ids of builds that a watermark remembers. With the ids of running builds, it is far below Airflow's limit of 64 KiB.
MOST_IDS = 1000
#: A build that was never listed before counts as new only if it ended no more than this many seconds before the newest
#: end that was seen: a list that was incomplete for a moment must not make thousands of old builds new.
OVERLAP = 3600.0
#: The newest end is the newest one of as many builds with the highest ids.
NEWEST = 50


class BuildList:
    """All builds of a project at one moment.

    :param source: which server and project it is of.
    :param heads: the builds.
    :param server_time: when it was read, in seconds since the epoch by the server's clock; None: the clock is unknown.
    :param read_at: the same by the best clock there is; None: ``server_time``.
    """

    def __init__(
        self,
        source: str,
        heads: Iterable[BuildHead],
        server_time: float | None = None,
        read_at: float | None = None,
    ) -> None:
        self.source = source
        self.heads = {head.id: head for head in heads}
        self.ids = sorted(self.heads)
        #: No build has ended later, whatever the server says; None: not known.
        self.read_at = server_time if read_at is None else read_at
        ends = [self._bounded(self.heads[number].end) for number in self.ids[-NEWEST:]]
        #: When the last build ended, by the server's clock; None: not known.
        self.newest_end = max((end for end in ends if end is not None), default=None if self.ids else server_time)

    def _bounded(self, end: float | None) -> float | None:
        return end if end is None or self.read_at is None else min(end, self.read_at)

    def above(self, floor: int) -> list[int]:
        """Return the ids above a number, ascending."""
        return self.ids[bisect_right(self.ids, floor) :]


def list_builds(
    session: ApiSession, *, project: str | None, project_id: int | None, user: str | None
) -> Flow[BuildList]:
    """List the builds of a project, with one request.

    :param user: only those that this user started.
    """
    heads = yield from session.request(list_build_heads(project=project, project_id=project_id, user=user))
    server_time = None if session.clock_offset is None else session.server_time()
    scope = f"project {project_id if project is None else project!r}{f' by user {user!r}' if user else ''}"
    source = f"{scope} at {session.settings.base_url}"
    builds: BuildList = yield Offload(partial(BuildList, source, heads, server_time, session.server_time()))
    return builds


def find_pattern_id(session: ApiSession, pattern: str) -> Flow[int]:
    """Return the id of a pattern.

    :raises ConfigurationError: if there is no such pattern.
    """
    found = yield from session.request(find_patterns(name=pattern))
    ids: list[int] = [one.id for one in found if one.name == pattern]
    if not ids:
        raise ConfigurationError(f"there is no pattern {quote_value(pattern)}, or the user may not see it")
    return ids[0]


def has_pattern(build: Build, pattern_id: int) -> bool:
    """Whether a build contains a pattern. One that does not say which patterns it has counts: no event may be lost."""
    return pattern_id in build.patterns or not isinstance(build.raw.get("patterns"), list)


class Watermark:
    """Remembers which builds have ended, so that each one is new once.

    Builds do not end by ascending id, and one can be listed later than one with a higher id. So it keeps the
    ids of the newest builds that have ended; below the lowest of them (the floor) everything is known, except the
    builds that are listed as running.

    :param source: which server and project it is of.
    :param floor: the highest id below the ones in ``ended``.
    :param ended: ids above the floor that have ended.
    :param running: ids up to the floor that have not ended.
    :param newest_end: when the newest build ended, in seconds since the epoch.
    """

    def __init__(
        self, source: str, floor: int, ended: Iterable[int], running: Iterable[int], newest_end: float | None
    ) -> None:
        self.source = source
        self.floor = floor
        self.ended = set(ended)
        self.running = set(running)
        self.newest_end = newest_end

    @classmethod
    def begin(cls, builds: BuildList) -> Watermark:
        """Return the watermark of a watcher that has just started: what has ended is not new."""
        ended = [number for number in builds.ids if builds.heads[number].has_ended]
        watermark = cls(builds.source, 0, ended, (), builds.newest_end)
        watermark._trim(builds)
        return watermark

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "source": self.source,
            "floor": self.floor,
            "ended": sorted(self.ended),
            "running": sorted(self.running),
            "newest_end": self.newest_end,
        }

    @classmethod
    def from_dict(cls, value: Any) -> Watermark | None:
        """Return a stored watermark, without the parts of it that cannot be read; None if it is not one."""
        if not isinstance(value, Mapping) or not isinstance(value.get("source"), str):
            return None
        if not isinstance(value.get("ended"), list):
            return None
        ended, running = restored_integers(value["ended"]), restored_integers(value.get("running"))
        floor = restored_integer(value.get("floor"))
        if floor is None and ended:
            floor = min(ended) - 1
        if floor is None:
            return None
        return cls(value["source"], floor, ended, running, _moment(value.get("newest_end")))

    def take(self, builds: BuildList) -> list[BuildHead]:
        """Return the builds that are FINISHED and were not before, by ascending id, each once."""
        newest, latest = self.newest_end, builds.read_at
        if newest is not None and latest is not None and newest > latest + OVERLAP:
            # It comes from a wrong clock or a wrong timestamp. Without it every build that was never listed is new.
            self.newest_end = None
        listed = [*sorted(self.running), *builds.above(self.floor)]
        heads = [builds.heads[number] for number in listed if number in builds.heads and number not in self.ended]
        new = [head for head in heads if head.has_ended]
        finished = [head for head in new if head.is_finished and not self._is_old(head)]
        self.ended |= {head.id for head in new if head.id > self.floor}
        self.running -= {head.id for head in new}
        newest = builds.newest_end
        if newest is not None:
            self.newest_end = newest if self.newest_end is None else max(newest, self.newest_end)
        self._trim(builds)
        return finished

    def _is_old(self, head: BuildHead) -> bool:
        if head.id in self.running or self.newest_end is None:
            return False
        end = head.end
        return end is not None and end < self.newest_end - OVERLAP

    def _trim(self, builds: BuildList) -> None:
        """Forget the lowest ids, once there are more than necessary."""
        if len(self.ended) <= MOST_IDS:
            return
        kept = sorted(self.ended)[-MOST_IDS // 2 :]
        floor, self.floor = self.floor, kept[0] - 1
        self.ended = set(kept)
        passed = [number for number in builds.above(floor) if number <= self.floor]
        self.running |= {number for number in passed if not builds.heads[number].has_ended}
        self.running = set(sorted(self.running)[-MOST_IDS:])


def _moment(value: Any) -> float | None:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return None
    with suppress(OverflowError):
        return float(value) if math.isfinite(value) else None
    return None
