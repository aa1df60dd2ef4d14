"""What both transports make of settings and errors, so that every option acts the same in each: TLS, proxy, words."""

from __future__ import annotations

import ipaddress
import os
import ssl
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

from mkw_airflow_provider.client.settings import Settings, proxy_url
from mkw_airflow_provider.exceptions import ConfigurationError


def tls_context(settings: Settings) -> ssl.SSLContext:
    """Return the TLS context of a connection. It takes tens of milliseconds: make one, and not on an event loop.

    Without a CA bundle of its own a connection trusts what the machine trusts, and what ``REQUESTS_CA_BUNDLE`` or
    ``CURL_CA_BUNDLE`` name; without either, what certifi lists.

    :raises ConfigurationError: for a bundle or a client certificate that cannot be read.
    """
    try:
        if isinstance(settings.verify, str):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.load_verify_locations(**_where(settings.verify))
        else:
            context = ssl.create_default_context()
            for bundle in _bundles():
                context.load_verify_locations(**_where(bundle))
        if settings.verify is False:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if settings.client_cert:
            # Without a password OpenSSL would ask for one at the terminal, if there is one, and wait.
            context.load_cert_chain(settings.client_cert, password="")
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"the CA bundle or client certificate of the connection cannot be read: {error}"
        ) from error
    return context


def _bundles() -> set[str]:
    """Return what is trusted besides what the machine trusts; no file that is read already, for each takes 20 ms."""
    # As with requests itself, a file that somebody has named stands in for certifi's.
    named = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or _certifi()
    machines = ssl.get_default_verify_paths().cafile
    return {os.path.realpath(named)} - {os.path.realpath(path) for path in (machines,) if path}


def _where(path: str) -> dict[str, str]:
    return {"capath" if os.path.isdir(path) else "cafile": path}


def _certifi() -> str:
    import certifi

    return certifi.where()


def proxy_for(settings: Settings, url: str) -> str | None:
    """Return the proxy to reach an address by: the connection's, else the usual environment variables'.

    :raises ConfigurationError: for a variable that names no HTTP proxy. What it says is not shown: it may hold a login.
    """
    if settings.proxy:
        return settings.proxy
    parts = urlsplit(url)
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


def in_words(error: BaseException) -> str:
    """Return an error's kind and its own words, cut."""
    return f"{type(error).__name__}: {str(error)[:300]}"
