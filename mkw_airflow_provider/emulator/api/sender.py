"""Who may use the control plane: programs on this machine, but no web page of another origin."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

from fastapi import Request

from mkw_airflow_provider.emulator.state.errors import ApiError

LOCAL = {"localhost", "127.0.0.1", "::1"}


async def refuse_foreign_sender(request: Request) -> None:
    """Refuse requests that a browser sends for a web page, and hosts that only point here by DNS rebinding.

    :raises ApiError: 403 for a foreign ``Host`` or ``Origin``.
    """
    headers = request.headers
    host = headers.get("host", "")
    if _name(host) not in LOCAL | {request.app.state.host, _address(request), socket.gethostname().lower()}:
        raise ApiError(403, f"The control plane is not available under the host name '{_name(host)}'.")
    origin = headers.get("origin")
    # A form or an image sends no Origin in some browsers, but all current ones send Sec-Fetch-Site.
    site = headers.get("sec-fetch-site", "none")
    if (origin is not None and origin != f"{request.url.scheme}://{host}") or site not in ("none", "same-origin"):
        raise ApiError(403, "The control plane refuses requests of web pages from another origin.")


def _name(host: str) -> str:
    """Return the host of a ``Host`` header without its port, in lower case."""
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return host


def _address(request: Request) -> str:
    """Return the address of this machine at which the request arrived."""
    server = request.scope.get("server")
    return str(server[0]) if server else ""
