"""When to poll a build again."""

from __future__ import annotations

#: Seconds between two polls of one build at least, unless ``poll_interval`` is shorter.
FLOOR = 2.0
#: Near the expected end, and without progress, a pause is this share of the build's age.
SHARE_OF_AGE = 0.3
#: The server rounds progress, and the last steps may be quick: a build may be this many per cent further.
AHEAD = 4
#: A pause is shortened by up to this share at random, so that the builds of one night are not polled together.
JITTER = 0.1


def next_pause(*, elapsed: float, progress: int | None, poll_interval: float, chance: float) -> float:
    """Return the seconds until the next poll of a build.

    Without progress: 30 % of the build's age. With progress: until the earliest end that the progress allows, and then
    30 % of the build's age, of which no more than ``poll_interval`` counts; but never longer than the build's age, for
    progress can start late.

    For example, a build that shows 50 % after 60 s ends after 111 s at the earliest (54 % of the work took 60 s). It is
    polled 30 s later where ``poll_interval`` is 30, and 51 + 18 s, but no more than 60 s later, where it is 300.

    :param elapsed: age of the build, in seconds.
    :param progress: per cent, as the API gives it; None or 0 if it gives none.
    :param poll_interval: the longest pause, in seconds.
    :param chance: from 0 to 1; the share of the jitter.
    :return: from the floor (2 s, or ``poll_interval`` if that is less) to ``poll_interval``.
    """
    if progress is None or not 0 < progress <= 100:
        pause = SHARE_OF_AGE * elapsed
    else:
        until_earliest_end = elapsed * (100 / min(100, progress + AHEAD) - 1)
        pause = min(elapsed, until_earliest_end + SHARE_OF_AGE * min(elapsed, poll_interval))
    pause = min(pause, poll_interval) * (1 - JITTER * chance)
    return max(pause, min(FLOOR, poll_interval))
