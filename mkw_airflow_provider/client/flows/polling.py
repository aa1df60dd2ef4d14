"""When to look at a build again."""

from __future__ import annotations

#: No two looks at one build are closer than this many seconds, unless ``poll_interval`` is shorter.
FLOOR = 2.0
#: The first pause, in seconds, while a build has no age to go by.
START = 5.0
#: A pause is shortened by up to this share, so that builds of one night are not looked at in step for long.
JITTER = 0.02
#: Progress is no clock: a build is taken to be up to this many per cent nearer to its end than it says,
DOUBT = 4
#: and to have had more of its time than of its work: as if time went with this power of the progress.
LATE_SPEED = 0.65
#: Progress can start late: no pause is longer than this many times what a build has had.
LATE_START = 4.0
#: Near its end a build is looked at after this share of its age, but at least every so many seconds.
NEAR_END_SHARE = 0.25
NEAR_END = 14.0


def next_pause(*, elapsed: float, progress: int | None, poll_interval: float, chance: float) -> float:
    """Return the seconds until the next look at a build.

    Without progress the pauses double: each is as long as the build has had. With progress the pause leads to the
    earliest moment at which the build may end, and a little beyond; it is at most four times what the build has had,
    for progress can start late.

    :param elapsed: seconds since the build began.
    :param progress: per cent, as the API gives it; None or 0 where it gives none.
    :param poll_interval: the longest pause, in seconds.
    :param chance: from 0 to 1.
    :return: from the floor (2 s, or ``poll_interval`` where that is less) to ``poll_interval``.
    """
    known = progress if progress is not None and 0 < progress <= 100 else None
    longest = max(START, elapsed if known is None else LATE_START * elapsed)
    pause = min(longest, poll_interval) * (1.0 - JITTER * chance)
    if known is not None:
        share_of_time = min(1.0, (known + DOUBT) / 100) ** LATE_SPEED
        at_least = elapsed / share_of_time - elapsed
        pause = min(pause, at_least + min(NEAR_END_SHARE * elapsed, NEAR_END))
    return max(pause, min(FLOOR, poll_interval))
