"""What both transports make of the settings, so that every option acts the same in each: TLS and proxy."""

from __future__ import annotations

import os
import ssl
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from mkw_airflow_provider.client.settings import Settings
from mkw_airflow_provider.exceptions import ConfigurationError


def tls_context(settings: Settings) -> ssl.SSLContext:
    """Return the TLS context of a connection. It takes tens of milliseconds: make one, and not on an event loop.

    Without a CA bundle of its own a connection trusts what the machine trusts, what certifi lists, and what
    ``REQUESTS_CA_BUNDLE`` or ``CURL_CA_BUNDLE`` name.

    :raises ConfigurationError: for a bundle or a client certificate that cannot be read.
    """
    try:
        if isinstance(settings.verify, str):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.load_verify_locations(**_where(settings.verify))
        else:
            context = ssl.create_default_context()
            context.load_verify_locations(_certifi())
            named = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
            if named:
                context.load_verify_locations(**_where(named))
        if settings.verify is False:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if settings.client_cert:
            context.load_cert_chain(settings.client_cert)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"the CA bundle or client certificate of the connection cannot be read: {error}"
        ) from error
    return context


def _where(path: str) -> dict[str, str]:
    return {"capath" if os.path.isdir(path) else "cafile": path}


def _certifi() -> str:
    import certifi

    return certifi.where()


def proxy_for(settings: Settings, url: str) -> str | None:
    """Return the proxy to reach an address by: the connection's, else the usual environment variables'."""
    if settings.proxy:
        return settings.proxy
    parts = urlsplit(url)
    if proxy_bypass(parts.hostname or ""):
        return None
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    return proxy if not proxy or "://" in proxy else f"http://{proxy}"
