"""When to look at a build again."""

from __future__ import annotations

#: No two looks at one build are closer than this many seconds, unless ``poll_interval`` is shorter.
FLOOR = 2.0
#: A pause is shortened by up to this share, so that builds of one night are not looked at in step.
JITTER = 0.2


def next_pause(*, elapsed: float, progress: int | None, poll_interval: float, chance: float) -> float:
    """Return the seconds until the next look at a build.

    The pause is half of what the build probably still needs, but at most half of what it has had, for progress can
    start late, and at least a hundredth of it, for progress can stick at 99. Without progress it is half of what it
    has had.

    :param elapsed: seconds since the build began.
    :param progress: per cent, as the API gives it; None or 0 where it gives none.
    :param poll_interval: the longest pause, in seconds.
    :param chance: from 0 to 1.
    :return: from the floor (2 s, or ``poll_interval`` where that is less) to ``poll_interval``.
    """
    floor = min(FLOOR, poll_interval)
    pause = 0.5 * elapsed
    if progress and 0 < progress <= 100:
        remaining = elapsed * (100 - progress) / progress
        pause = max(min(0.5 * remaining, pause), 0.01 * elapsed)
    pause = min(max(pause, floor), poll_interval)
    return max(floor, pause * (1.0 - JITTER * chance))
