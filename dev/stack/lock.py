"""One at a time: what runs in a folder keeps a second one out of it."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


class AlreadyRunningError(Exception):
    """Another process uses the folder; the message says how to end it."""


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep everybody else out of the folder as long as the block lasts.

    :param folder: made if it does not exist.
    :raises AlreadyRunningError: somebody is in it.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / "lock").open("a+") as lock:
        try:
            # The system gives it up when this process ends, in whatever way.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise AlreadyRunningError(
                f"This runs already, in the folder {folder}. To end it: kill {lock.read().strip()}"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield
