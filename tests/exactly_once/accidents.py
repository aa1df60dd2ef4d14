"""What can happen to an attempt: its worker is killed at any point, or the server sends a wrong response."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import strategies as st

from mkw_airflow_provider.client.storage import download_sink, folder
from mkw_airflow_provider.client.transports import sync
from mkw_airflow_provider.emulator import Control


class KilledError(BaseException):
    """The worker process is dead. As with SIGKILL, no error handler can stop it."""


class Reaper:
    """Kills a worker at a point of its work: before or after a request, or while it stores something.

    A killed worker does nothing more: whatever it does then, such as cleaning up, fails in the same way.
    """

    def __init__(self) -> None:
        self._left: int | None = None
        self._lock = threading.Lock()

    @contextmanager
    def waits(self, points: int | None) -> Iterator[None]:
        """Kill the worker that runs in this context.

        :param points: the point at which the worker is killed; None: never.
        """
        self._left = points
        try:
            yield
        finally:
            self._left = None

    def point(self) -> None:
        """Pass a point.

        :raises KilledError: if the worker is killed here, or was before.
        """
        with self._lock:
            if self._left is None:
                return
            if self._left <= 0:
                raise KilledError
            self._left -= 1

    def watch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Make a point of everything that a worker does outside its process; each is still done."""
        for owner, name in (
            (sync.Client, "send"),
            (folder.Folder, "create"),
            (folder.Folder, "open"),
            (folder.Folder, "move"),
            (folder.Folder, "remove"),
            (download_sink.DownloadSink, "write"),
        ):
            monkeypatch.setattr(owner, name, self._watched(getattr(owner, name)))

    def _watched(self, method: Any) -> Any:
        @functools.wraps(method)
        def watched(*args: Any, **kwargs: Any) -> Any:
            self.point()
            result = method(*args, **kwargs)
            self.point()
            return result

        return watched


@dataclass(frozen=True)
class Fault:
    """A wrong response of the server.

    :param times: how often.
    """

    action: str
    method: str
    path: str
    times: int = 1
    arguments: dict[str, Any] = field(default_factory=dict, hash=False)

    def provoke(self, control: Control) -> None:
        """Set it on the server."""
        control.fault(self.action, method=self.method, path=self.path, times=self.times, **self.arguments)


@dataclass(frozen=True)
class Accident:
    """What happens to one attempt.

    :param killed_after: how many points of its work the worker passes; None: it survives.
    :param faults: the wrong responses of the server.
    """

    killed_after: int | None = None
    faults: tuple[Fault, ...] = ()


#: Longer than the read timeout of the connection.
SLOW = 0.4


def _undone(path: str) -> list[Fault]:
    """Return the ways in which a POST gets lost before it takes effect."""
    return [
        Fault("reset", "POST", path),
        Fault("close", "POST", path),
        Fault("status", "POST", path, arguments={"status": 502}),
        Fault("status", "POST", path, arguments={"status": 504}),
    ]


def _done(path: str) -> list[Fault]:
    """Return the ways in which the response to a POST gets lost, after it took effect or before."""
    return [
        Fault("reset", "POST", path, arguments={"work": True}),
        Fault("close", "POST", path, arguments={"work": True}),
        Fault("status", "POST", path, arguments={"status": 502, "work": True}),
        Fault("status", "POST", path, arguments={"status": 504, "work": True}),
        Fault("truncate", "POST", path),
        Fault("delay", "POST", path, arguments={"delay": SLOW}),
    ]


def _refused(path: str) -> list[Fault]:
    """Return the ways in which a server refuses a POST without any effect."""
    return [
        Fault("status", "POST", path, arguments={"status": 503, "headers": {"Retry-After": "0"}}),
        Fault("status", "POST", path, arguments={"status": 429}),
        Fault("status", "POST", path, arguments={"status": 500}),
        Fault("expired", "POST", path),
    ]


def _unread(path: str) -> list[Fault]:
    """Return the ways in which a GET goes wrong."""
    return [
        Fault("status", "GET", path, arguments={"status": 502}),
        Fault("status", "GET", path, times=3, arguments={"status": 502}),
        Fault("reset", "GET", path),
        Fault("truncate", "GET", path),
        Fault("delay", "GET", path, arguments={"delay": SLOW}),
        Fault("status", "GET", path, arguments={"status": 200, "body": "<html>busy</html>"}),
        Fault("expired", "GET", path),
        Fault("expired", "GET", path, times=2),
        Fault("status", "GET", path, times=50, arguments={"status": 503}),
    ]


BUILDS, DEPLOYMENTS, DOWNLOADS = "/api/v1/builds", "/api/v1/build_deployments", "/api/v1/downloads/*"
ONE_BUILD = f"{BUILDS}/*"
LOGIN = [
    Fault("status", "POST", "/authentication", arguments={"status": 502}),
    Fault("reset", "POST", "/authentication", arguments={"work": True}),
    Fault("truncate", "POST", "/authentication"),
]
#: The wrong responses that the server may send, in groups that are equally likely.
STARTING = (_undone(BUILDS), _done(BUILDS), _refused(BUILDS), _unread(BUILDS), _unread(ONE_BUILD), LOGIN)
DEPLOYING = (_undone(DEPLOYMENTS), _done(DEPLOYMENTS), _refused(DEPLOYMENTS), _unread(DEPLOYMENTS), LOGIN)
DOWNLOADING = (_unread(DOWNLOADS), _unread(DOWNLOADS), _unread(ONE_BUILD), LOGIN)


def accidents(groups: tuple[list[Fault], ...], points: int) -> st.SearchStrategy[Accident]:
    """Return a strategy for what happens to an attempt.

    :param groups: the wrong responses that the server may send.
    :param points: about how many points of its work an attempt passes.
    """
    killed = st.none() | st.integers(0, points)
    fault = st.one_of([st.sampled_from(group) for group in groups])
    return st.builds(Accident, killed_after=killed, faults=st.lists(fault, max_size=2).map(tuple))
