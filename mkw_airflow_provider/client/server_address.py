"""The address of the server, from the fields of a connection."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import SplitResult, quote, unquote, urlsplit

DEFAULT_HOST = "app.metakraftwerk.com"
OWN_PORTS = {"http": 80, "https": 443}
_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*\.?")


def proxy_url(text: str) -> str | None:
    """Return a proxy's address as a URL; None where it is none, or one of another kind than HTTP."""
    url = text if "://" in text else f"http://{text}"
    parts = split_url(url)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        return None
    login = unquote(f"{parts.username}{parts.password}")
    # What Basic authentication can carry for certain.
    return url if all(character <= "\xff" for character in login) else None


def read_base_url(
    host: str | None, port: int | str | None, schema: str | None, allow_http: bool, faults: list[str]
) -> str:
    """Return scheme, host, port and path of the server, without a slash at the end.

    :param faults: gets a sentence for each fault.
    """
    host = (host or DEFAULT_HOST).strip()
    scheme = (schema or "").strip().lower().removesuffix("//").removesuffix(":")
    if "://" not in host:
        bare_ipv6 = host.count(":") > 1 and not host.startswith("[")
        host = f"{scheme or 'https'}://[{host}]" if bare_ipv6 else f"{scheme or 'https'}://{host}"
    parts = split_url(host)
    name = parts and _host_name(parts.hostname or "")
    # `https//host` and `https:/host` would be the host `https`.
    if not parts or not parts.hostname or not name or name in OWN_PORTS:
        hint = "" if host.isascii() else ": write an international name in its ASCII form, xn--…"
        faults.append(f"host is not a host name or a URL{hint}")
        return ""
    if parts.username or parts.password:
        faults.append("host must not hold a login: put it into the fields login and password")
    if parts.query or parts.fragment:
        faults.append("host must end with the path: it has a query or a fragment")
    if scheme and scheme != parts.scheme:
        faults.append(f"schema {scheme!r} contradicts the URL in host, which says {parts.scheme!r}")
    if parts.scheme not in ("http", "https"):
        faults.append(f"schema must be https or http, not {parts.scheme!r}")
    elif parts.scheme == "http" and not (allow_http or is_loopback(parts.hostname)):
        faults.append(f"http would send the password to {name} in clear: use https, or set extra `allow_http` to true")
    number = _port(port, parts, faults)
    # People paste the API's own URL.
    path = unquote(parts.path).rstrip("/").removesuffix("/api/v1").rstrip("/")
    path = quote(path, safe="/:@!$&'()*+,;=")
    # One of the transports leaves the scheme's own port out, so both do.
    shown = f":{number}" if number and number != OWN_PORTS.get(parts.scheme) else ""
    return f"{parts.scheme}://{name}{shown}{path}"


def _host_name(host: str) -> str | None:
    """Return a host as both transports send it, an IPv6 address in brackets; None where it can be none."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        pass
    else:
        # An address with a zone is written in another way by each library.
        return None if "%" in host else f"[{host}]" if address.version == 6 else host
    return host if len(host) <= 253 and _NAME.fullmatch(host) else None


def _port(port: int | str | None, parts: SplitResult, faults: list[str]) -> int | None:
    if port is None or port == "":
        port = parts.port
        if port is None:
            return None
    try:
        number = int(port)
    except (TypeError, ValueError):
        number = 0
    if not 0 < number < 65_536:
        faults.append("port must be a number from 1 to 65535")
    elif parts.port not in (None, number):
        faults.append(f"port {number} contradicts the URL in host, which says {parts.port}")
    return number


def split_url(url: str) -> SplitResult | None:
    """Split a URL; None where it cannot be one, e.g. with a port that is no number."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts


def is_loopback(host: str) -> bool:
    """Whether a host is this machine itself, so that what is sent to it does not cross a network."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
