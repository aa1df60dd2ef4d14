"""The emulator as an object: a server in a thread of this process, and the control of it."""

from __future__ import annotations

import os
import socket
import ssl
import threading
from types import TracebackType
from typing import TYPE_CHECKING, Any

from mkw_airflow_provider.emulator.control import Control
from mkw_airflow_provider.emulator.switches import Switches

if TYPE_CHECKING:
    from typing_extensions import Self

    from mkw_airflow_provider.emulator.serving import Server
    from mkw_airflow_provider.emulator.state import State

# Connections that may wait to be accepted: a load test opens a thousand at once.
BACKLOG = 2048


class Emulator(Control):
    """
    A MetaKraftwerk of one's own, on this machine.

    As a context manager it starts and stops by itself; ``start`` and ``stop`` do it by hand. After ``stop`` it can
    be started again on the same port, with the same state. Leaving the context ends a state in memory.

    :param database: a file that keeps the state, or ``:memory:``.
    :param tls_cert: PEM file with the server's certificate chain; with it the emulator speaks TLS.
    :param tls_key: PEM file with the certificate's key, unless it stands in ``tls_cert``.
    :param port: port, 0 for a free one.
    :param host: address to listen on.
    :param log_requests: log a line for each request on the logger ``mkw_airflow_provider.emulator``.
    :param switches: switches other than their defaults, by name; a reset returns to them.
    :raises ValueError: for an unknown switch or a value that is not allowed.
    """

    def __init__(
        self,
        database: str | os.PathLike[str] = ":memory:",
        tls_cert: str | os.PathLike[str] | None = None,
        tls_key: str | os.PathLike[str] | None = None,
        port: int = 0,
        *,
        host: str = "127.0.0.1",
        log_requests: bool = False,
        **switches: Any,
    ) -> None:
        Switches().change(**switches)
        self._database = str(database)
        self._switches = switches
        self._log_requests = log_requests
        self._state: State | None = None
        self._address = (host, port)
        self._tls = None if tls_cert is None else (str(tls_cert), None if tls_key is None else str(tls_key))
        self._server: Server | None = None
        self._thread: threading.Thread | None = None
        super().__init__(self._url())

    @property
    def running(self) -> bool:
        """Whether the server is up."""
        return self._thread is not None

    def start(self) -> Self:
        """
        Listen, and return when requests are answered.

        :raises OSError: if the port is taken, or a certificate cannot be read.
        :raises RuntimeError: if it is running already.
        """
        # With these come FastAPI and uvicorn: only whoever starts an emulator pays for them.
        from mkw_airflow_provider.emulator.app import create_app
        from mkw_airflow_provider.emulator.serving import Server
        from mkw_airflow_provider.emulator.state import State

        if self._thread is not None:
            raise RuntimeError(f"The emulator at {self.url} is running already.")
        if self._state is None:
            self._state = State(self._database, self._switches, log_requests=self._log_requests)
        server = Server(create_app(self._state), self._state.connections, tls=self._tls)
        family = socket.AF_INET6 if ":" in self._address[0] else socket.AF_INET
        listener = socket.create_server(self._address, family=family, backlog=BACKLOG)
        self._address = (self._address[0], listener.getsockname()[1])
        thread = threading.Thread(target=server.run, args=([listener],), name="metakraftwerk-emulator", daemon=True)
        thread.start()
        server.wait_until_ready(thread)
        self._server, self._thread = server, thread
        super().__init__(self._url(), ssl_context=self._trust())
        return self

    def stop(self) -> None:
        """End the server and all its connections at once, as the end of a process would. The state stays."""
        if self._thread is None or self._server is None:
            return
        self._server.end()
        self._thread.join()
        self._thread = self._server = None

    def close(self) -> None:
        """Stop, and let go of the state: a file keeps it, memory does not."""
        self.stop()
        if self._state is not None:
            self._state.store.close()
            self._state = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _url(self) -> str:
        host, port = self._address
        reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
        if ":" in reachable:
            reachable = f"[{reachable}]"
        return f"{'https' if self._tls else 'http'}://{reachable}:{port}"

    def _trust(self) -> ssl.SSLContext | None:
        if self._tls is None:
            return None
        # It is this very process that answers; whose certificate it shows is the clients' business.
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
