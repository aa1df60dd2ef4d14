"""TCP connections: how many were accepted, which are open, and which requests they are busy with."""

from __future__ import annotations

import asyncio

# Where the server puts the transport into a request's scope.
TRANSPORT = "mkw.transport"


class Connections:
    """
    The clients' connections. Those that the control plane uses are not counted.

    A connection counts from its first bytes of HTTP: with TLS, after the handshake.
    """

    def __init__(self) -> None:
        self.accepted = 0
        self._open: set[asyncio.Transport] = set()
        self._control: set[asyncio.Transport] = set()
        self._busy: set[asyncio.Task[None]] = set()
        self.stopping = False

    def opened(self, transport: asyncio.Transport) -> None:
        """Note a new connection."""
        self.accepted += 1
        self._open.add(transport)

    def closed(self, transport: asyncio.Transport) -> None:
        """Note the end of a connection."""
        self._open.discard(transport)
        self._control.discard(transport)

    def is_control(self, transport: asyncio.Transport) -> None:
        """Take a connection out of the count: it serves the control plane."""
        if transport not in self._control:
            self._control.add(transport)
            self.accepted -= 1

    def busy(self, task: asyncio.Task[None]) -> None:
        """Note a request in work, so that a stop need not wait for it."""
        self._busy.add(task)
        task.add_done_callback(self._busy.discard)

    def abort(self) -> None:
        """End all connections and the requests in work, as the end of a process would."""
        self.stopping = True
        for transport in list(self._open):
            transport.abort()
        for task in list(self._busy):
            task.cancel()

    def to_dict(self) -> dict[str, int]:
        """Connections accepted so far and open now."""
        return {"accepted": self.accepted, "open": len(self._open - self._control)}
