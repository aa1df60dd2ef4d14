"""Servers that are not the emulator: they send what no proper server would, or stand between client and server."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

from typing_extensions import Self

L = TypeVar("L", bound="Listener")


class Listener:
    """Accept connections, each in a thread of its own.

    :param behavior: called with each connection, which is closed afterward.
    :param context: of a server that uses TLS.
    :param expected: what a connection may end with; anything else is an error of the test.
    """

    def __init__(
        self,
        behavior: Callable[[socket.socket], object],
        context: ssl.SSLContext | None = None,
        expected: tuple[type[Exception], ...] = (OSError,),
    ) -> None:
        self.connections = 0
        self._behavior = behavior
        self._context = context
        self._expected = expected
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self._listener.getsockname()[1]
        self.url = f"{'https' if context else 'http'}://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the listener and all connections."""
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
                self._behavior(end)


@dataclass(frozen=True)
class Arrived:
    """A request as the server received it."""

    line: str
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name), None)


Respond = Callable[[Arrived], bytes | Iterable[bytes] | None]


class RawServer(Listener):
    """Responds with any bytes, valid HTTP or not: what no emulator of a proper server would send.

    :param respond: makes the bytes of a response, or pieces of them; None ends the connection.
    :param context: of a server that uses TLS.
    """

    def __init__(self, respond: Respond, context: ssl.SSLContext | None = None) -> None:
        self.arrived: list[Arrived] = []
        self._respond = respond
        super().__init__(self._converse, context, expected=(OSError, ValueError))

    def _converse(self, end: socket.socket) -> None:
        with end.makefile("rb") as file:
            while line := file.readline().decode("latin-1").rstrip():
                arrived = self._read(line, file)
                self.arrived.append(arrived)
                response = self._respond(arrived)
                if response is None:
                    return
                for piece in [response] if isinstance(response, bytes) else response:
                    end.sendall(piece)

    @staticmethod
    def _read(line: str, file: Any) -> Arrived:
        headers = []
        while header := file.readline().decode("latin-1").rstrip("\r\n"):
            name, _, value = header.partition(": ")
            headers.append((name, value))
        arrived = Arrived(line, headers, b"")
        return Arrived(line, headers, file.read(int(arrived.header("content-length") or 0)))


class Proxy(Listener):
    """A forward and CONNECT proxy.

    :param names: the ports, on this machine, of the hosts that it knows.
    :param context: of a proxy that speaks TLS itself.
    """

    def __init__(self, names: dict[str, int], context: ssl.SSLContext | None = None) -> None:
        #: Method, target and headers of each request to the proxy itself.
        self.requested: list[tuple[str, str, dict[str, str]]] = []
        #: ``None``: does its work. ``"silent"``, ``"close"`` or a status: what it does instead.
        self.refuses: str | int | None = None
        #: Whether it closes the connection as soon as the server has responded.
        self.loses_responses = False
        self._names = names
        super().__init__(self._work, context, expected=(OSError, ValueError))

    def _work(self, end: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            piece = end.recv(65536)
            if not piece:
                return
            head += piece
        head, _, body = head.partition(b"\r\n\r\n")
        line, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = line.split(" ")
        headers = {name.lower(): value for name, _, value in (text.partition(": ") for text in lines)}
        while len(body) < int(headers.get("content-length", 0)):
            body += end.recv(65536)
        self.requested.append((method, target, headers))
        if self.refuses is not None:
            self._refuse(end)
            return
        if method == "CONNECT":
            host, _, port = target.rpartition(":")
            server = self._connect(host, int(port))
            end.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            parts = urlsplit(target)
            server = self._connect(parts.hostname or "", parts.port or 80)
            rest = target.removeprefix(f"{parts.scheme}://{parts.netloc}")
            kept = [text for text in lines if not text.lower().startswith("proxy-")]
            server.sendall(
                "\r\n".join([f"{method} {rest} HTTP/1.1", *kept, "Connection: close", "", ""]).encode("latin-1")
            )
            server.sendall(body)
        with server:
            self._pass_on(end, server, count_responses=method == "CONNECT")

    def _refuse(self, end: socket.socket) -> None:
        if self.refuses == "silent":
            end.recv(1)
        elif self.refuses != "close":
            end.sendall(f"HTTP/1.1 {self.refuses} No\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno".encode())

    def _connect(self, host: str, port: int) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self._names.get(host, port)), timeout=10)

    def _pass_on(self, client: socket.socket, server: socket.socket, *, count_responses: bool) -> None:
        while True:
            ready, _, _ = select.select([client, server], [], [], 10)
            for end in ready:
                piece = end.recv(65536)
                if not piece or (end is server and self.loses_responses and self._is_response(piece, count_responses)):
                    return
                (server if end is client else client).sendall(piece)

    @staticmethod
    def _is_response(piece: bytes, encrypted: bool) -> bool:
        # Handshake records of a TLS 1.2 server have another type than data, 23.
        return piece[0] == 23 if encrypted and piece[0] in (20, 21, 22, 23) else True
