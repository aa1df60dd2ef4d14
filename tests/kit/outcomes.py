"""How an attempt ended that did not fail."""

from __future__ import annotations

FINISHED = "finished"
#: Its trigger would wait forever.
STILL_WAITING = "still waiting"
