"""What both transports have in common, so that every option acts the same in each: limits, TLS, proxy, error texts."""

from __future__ import annotations

import ipaddress
import os
import re
import ssl
from collections.abc import Iterator
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from mkw_airflow_provider.client.known_secrets import remember_secrets
from mkw_airflow_provider.client.server_address import proxy_url
from mkw_airflow_provider.client.settings import Settings
from mkw_airflow_provider.exceptions import ConfigurationError

#: Connections of one client. On TLS each costs 300 kB, and so few serve thousands of waiting triggers.
POOL = 10
#: Seconds for which an idle connection is kept. Firewalls drop one silently, many after a minute: the next request on
#: it would get no response until its read timeout.
KEEP_ALIVE = 50.0

#: A login and a query in the text of an error: either may hold a secret.
_LOGIN = re.compile(r"(?<=//)[^/\s@'\"]+@")
_QUERY = re.compile(r"\?[^\s'\")>]+")


class TlsFiles:
    """The TLS context of a connection, made again when the files that it was read from are replaced.

    Without its own CA bundle, a connection trusts what the machine trusts and what ``REQUESTS_CA_BUNDLE`` or
    ``CURL_CA_BUNDLE`` name; without either, what certifi lists.

    :param settings: of the connection.
    """

    def __init__(self, settings: Settings) -> None:
        self.context: ssl.SSLContext | None = None
        self._settings = settings
        self._read: list[Any] = []

    def refresh(self) -> None:
        """Read the files, unless they are the ones that were read last. Takes tens of milliseconds.

        :raises ConfigurationError: for a CA bundle or a client certificate that cannot be read.
        """
        try:
            found = [_identity(path) for path in self._paths()]
            if self.context is None or found != self._read:
                self.context, self._read = self._load(), found
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationError(
                f"the CA bundle or client certificate of the connection cannot be read: {error}"
            ) from error

    def _paths(self) -> Iterator[str]:
        if isinstance(self._settings.verify, str):
            yield self._settings.verify
        else:
            yield from sorted(_bundles())
            machines = ssl.get_default_verify_paths().cafile
            if machines:
                yield machines
        if self._settings.client_cert:
            yield self._settings.client_cert

    def _load(self) -> ssl.SSLContext:
        if isinstance(self._settings.verify, str):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.load_verify_locations(**_location(self._settings.verify))
        else:
            context = ssl.create_default_context()
            for bundle in _bundles():
                context.load_verify_locations(**_location(bundle))
        if self._settings.verify is False:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self._settings.client_cert:
            # Without a password, OpenSSL would ask for one at the terminal, if there is one, and wait.
            context.load_cert_chain(self._settings.client_cert, password="")
        return context


def _identity(path: str) -> Any:
    """Return what changes when a file, or a file in a folder, is replaced."""
    if os.path.isdir(path):
        return sorted(_identity(entry.path) for entry in os.scandir(path) if entry.is_file())
    found = os.stat(path)
    return path, found.st_ino, found.st_size, found.st_mtime_ns


def _bundles() -> set[str]:
    """Return what is trusted besides what the machine trusts; no file twice, because each takes 20 ms to read."""
    # As in requests itself, a named file replaces certifi's.
    named = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or _certifi()
    machines = ssl.get_default_verify_paths().cafile
    return {os.path.realpath(named)} - {os.path.realpath(path) for path in (machines,) if path}


def _location(path: str) -> dict[str, str]:
    return {"capath" if os.path.isdir(path) else "cafile": path}


def _certifi() -> str:
    # Here and not above: not needed where a file is named.
    import certifi

    return certifi.where()


def proxy_for(settings: Settings, url: str) -> str | None:
    """Return the proxy for a URL: the connection's, else that of the usual environment variables.

    Its password is remembered, because a proxy's error page may repeat it.

    :raises ConfigurationError: for a variable that names no HTTP proxy. Its value is not shown: it may hold a login.
    """
    proxy = settings.proxy or _proxy_of_environment(urlsplit(url))
    parts = urlsplit(proxy or "")
    if parts.password:
        remember_secrets(parts.password, unquote(parts.password), login=unquote(parts.username or ""))
    return proxy


def _proxy_of_environment(parts: SplitResult) -> str | None:
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or _is_excepted(parts, proxies.get("no", "")):
        return None
    checked = proxy_url(proxy)
    if checked is None:
        raise ConfigurationError(
            f"the proxy of the environment for {parts.scheme} must be a URL such as http://proxy:3128; "
            "other kinds of proxy are not supported"
        )
    return checked


def _is_excepted(parts: SplitResult, excepted: str) -> bool:
    """Whether ``NO_PROXY`` names a host, with or without its port, or a network that it is in."""
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    if proxy_bypass(host) or proxy_bypass(f"[{host}]:{port}" if ":" in host else f"{host}:{port}"):
        return True
    return any(_is_in(host, entry.strip()) for entry in excepted.split(",") if "/" in entry)


def _is_in(host: str, network: str) -> bool:
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


def describe(error: BaseException) -> str:
    """Return an error's class and message, cut, without the login or the query of any URL in it."""
    text = _QUERY.sub("?...", _LOGIN.sub("", str(error)))
    return f"{type(error).__name__}: {text[:300]}"
