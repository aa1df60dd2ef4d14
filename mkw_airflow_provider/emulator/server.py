"""The emulator: a server in a thread of this process, and its control plane."""

from __future__ import annotations

import os
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from mkw_airflow_provider.emulator.control import Control
from mkw_airflow_provider.emulator.state.seed_format import SeedError, read_seed
from mkw_airflow_provider.emulator.state.switches import Switches

if TYPE_CHECKING:
    from typing_extensions import Self

    from mkw_airflow_provider.emulator.faults.faults import Faults
    from mkw_airflow_provider.emulator.http.connections import Connections
    from mkw_airflow_provider.emulator.http.lifecycle import Server
    from mkw_airflow_provider.emulator.state.state import State

T = TypeVar("T")

# Connections that may wait to be accepted: a load test opens a thousand at the same time.
BACKLOG = 2048


class Emulator(Control):
    """A local MetaKraftwerk.

    As a context manager it starts and stops automatically. After ``stop`` it can be started again on the same port,
    with the same state. Leaving the context discards a state in memory.

    :param database: a file that stores the state, or ``:memory:``.
    :param tls_cert: PEM file with the server's certificate chain; with it the emulator serves https.
    :param tls_key: PEM file with the certificate's key, unless ``tls_cert`` contains it.
    :param port: port, 0 for a free one.
    :param host: address to listen on.
    :param seed: a seed file, or the same as a dictionary; it fills an empty database, and a reset returns to it.
    :param log_requests: log a line for each request on the logger ``mkw_airflow_provider.emulator``.
    :param switches: switches other than their defaults, by name; a reset returns to them.
    :raises ValueError: for an empty host, an invalid seed, an unknown switch or a value that is not allowed.
    """

    def __init__(
        self,
        database: str | os.PathLike[str] = ":memory:",
        tls_cert: str | os.PathLike[str] | None = None,
        tls_key: str | os.PathLike[str] | None = None,
        port: int = 0,
        *,
        host: str = "127.0.0.1",
        seed: str | os.PathLike[str] | Mapping[str, Any] | None = None,
        log_requests: bool = False,
        **switches: Any,
    ) -> None:
        if not host.strip():
            raise ValueError("The host is empty; give the address to listen on, such as 127.0.0.1.")
        Switches().change(**switches)
        self._seed_name = "seed" if seed is None or isinstance(seed, Mapping) else os.fspath(seed)
        self._seed = None if seed is None else self._name_seed(lambda: read_seed(seed))
        self._database = str(database)
        self._switches = switches
        self._log_requests = log_requests
        self._parts: tuple[State, Faults, Connections] | None = None
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
        """Start to listen, and return when the server responds.

        :raises OSError: if the port is in use, or a certificate cannot be read.
        :raises ValueError: if the database or the seed cannot be used.
        :raises RuntimeError: if it is already running.
        """
        # FastAPI and uvicorn are imported only when an emulator starts.
        from mkw_airflow_provider.emulator.api.app import create_app
        from mkw_airflow_provider.emulator.faults.faults import Faults
        from mkw_airflow_provider.emulator.http.connections import Connections
        from mkw_airflow_provider.emulator.http.lifecycle import Server
        from mkw_airflow_provider.emulator.state.state import State

        if self._thread is not None:
            raise RuntimeError(f"The emulator at {self.url} is already running.")
        if self._parts is None:
            state = self._name_seed(
                lambda: State(self._database, self._switches, seed_document=self._seed, log_requests=self._log_requests)
            )
            self._parts = state, Faults(), Connections()
        state, faults, connections = self._parts
        try:
            server = Server(create_app(state, faults, connections, self._address[0]), connections, tls=self._tls)
        except OSError as error:
            raise OSError(
                f"Cannot use the certificate {' and '.join(filter(None, self._tls or ()))}: {_reason(error)}."
            ) from None
        family = socket.AF_INET6 if ":" in self._address[0] else socket.AF_INET
        try:
            listener = socket.create_server(self._address, family=family, backlog=BACKLOG)
        except (OSError, OverflowError) as error:
            raise OSError(f"Cannot listen on {self._address[0]}, port {self._address[1]}: {_reason(error)}.") from None
        self._address = (self._address[0], listener.getsockname()[1])
        thread = threading.Thread(target=server.run, args=([listener],), name="metakraftwerk-emulator", daemon=True)
        thread.start()
        server.wait_until_ready(thread)
        self._server, self._thread = server, thread
        super().__init__(self._url(), ssl_context=self._trust())
        return self

    def stop(self) -> None:
        """Abort the server and all its connections, as the end of a process would. The state is kept."""
        if self._thread is None or self._server is None:
            return
        self._server.end()
        self._thread.join()
        self._thread = self._server = None

    def close(self) -> None:
        """Stop, and close the database: a file keeps its rows, memory does not."""
        self.stop()
        if self._parts is not None:
            self._parts[0].store.close()
            self._parts = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _name_seed(self, read: Callable[[], T]) -> T:
        """Add the file's name to the errors of a seed."""
        try:
            return read()
        except SeedError as error:
            raise ValueError(f"{self._seed_name}: {error}") from None

    def _url(self) -> str:
        host, port = self._address
        reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
        if ":" in reachable:
            reachable = f"[{reachable}]"
        return f"{'https' if self._tls else 'http'}://{reachable}:{port}"

    def _trust(self) -> ssl.SSLContext | None:
        if self._tls is None:
            return None
        # The server is in this process, so its certificate need not be verified; clients do that.
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return "not a PEM file with a certificate and its key"
    text = str(getattr(error, "strerror", None) or error)
    return text.partition(" (while attempting")[0].rstrip(".")
