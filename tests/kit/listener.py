"""What every server in these tests does that is no emulator: accept connections, each in a thread of its own."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable

__all__ = ["Listener"]


class Listener:
    """Accepts connections and does with each what a test wants.

    :param behaviour: called with each connection, which is closed afterwards.
    :param context: of a server that speaks TLS.
    :param expected: what a connection may end with; anything else is an error of the test.
    """

    def __init__(
        self,
        behaviour: Callable[[socket.socket], object],
        context: ssl.SSLContext | None = None,
        expected: tuple[type[Exception], ...] = (OSError,),
    ) -> None:
        self.connections = 0
        self._behaviour = behaviour
        self._context = context
        self._expected = expected
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self._listener.getsockname()[1]
        self.url = f"{'https' if context else 'http'}://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        for end in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.connections += 1
                self._open.add(client)
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(*self._expected), client:
            end = self._context.wrap_socket(client, server_side=True) if self._context else client
            with end:
                self._behaviour(end)
