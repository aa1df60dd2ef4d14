"""TCP connections: how many were accepted, which are open, and which requests are being handled."""

from __future__ import annotations

import asyncio

# Where the server puts the transport into a request's scope.
TRANSPORT = "mkw.transport"


class Connections:
    """The clients' connections. Those of the control plane are not counted.

    A connection counts from its first bytes of HTTP: with TLS, after the handshake.
    """

    def __init__(self) -> None:
        self.accepted = 0
        self._open: set[asyncio.Transport] = set()
        self._control: set[asyncio.Transport] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.stopping = False

    def add(self, transport: asyncio.Transport) -> None:
        """Count a new connection."""
        self.accepted += 1
        self._open.add(transport)

    def remove(self, transport: asyncio.Transport) -> None:
        """Remove a closed connection."""
        self._open.discard(transport)
        self._control.discard(transport)

    def mark_control(self, transport: asyncio.Transport) -> None:
        """Leave a connection out of the count: it serves the control plane."""
        if transport not in self._control:
            self._control.add(transport)
            self.accepted -= 1

    def track(self, task: asyncio.Task[None]) -> None:
        """Remember the task of a request, so that a stop can cancel it."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def abort(self) -> None:
        """Abort all connections and running requests, as the end of a process would."""
        self.stopping = True
        for transport in list(self._open):
            transport.abort()
        for task in list(self._tasks):
            task.cancel()

    def to_dict(self) -> dict[str, int]:
        """Return the number of connections accepted so far and open now."""
        return {"accepted": self.accepted, "open": len(self._open - self._control)}
