"""End a run from another thread or from a signal handler."""

from __future__ import annotations

from contextlib import suppress
from queue import Empty, SimpleQueue


class StoppedError(Exception):
    """A run was ended by its :class:`StopSignal`."""


class StopSignal:
    """Ends the runs that were given it. A stop belongs to these runs only: the client can be used again.

    :meth:`set` may be called by a signal handler. It takes no lock, because the thread that the handler interrupts
    may hold that lock; ``SimpleQueue.put`` is documented to be safe there, ``threading.Event.set`` is not.
    """

    def __init__(self) -> None:
        self.is_set = False
        self._wake_up: SimpleQueue[None] = SimpleQueue()
        # Before Python 3.13, the first `get` of a queue waits forever if its timeout is over before the wait begins.
        with suppress(Empty):
            self._wake_up.get_nowait()

    def set(self) -> None:
        """End the runs at their next step, pause or piece of a file, whatever thread they are in."""
        self.is_set = True
        self._wake_up.put(None)

    def check(self) -> None:
        """Raise where the signal is set.

        :raises StoppedError: if it is.
        """
        if self.is_set:
            raise StoppedError

    def sleep(self, seconds: float) -> None:
        """Sleep, and wake up early where the signal is set.

        :raises StoppedError: if it is.
        """
        self.check()
        try:
            self._wake_up.get(timeout=seconds)
        except Empty:
            return
        # For the other threads that sleep.
        self._wake_up.put(None)
        raise StoppedError
