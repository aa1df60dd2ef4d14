"""A connection's fields, checked. One error reports all faults."""

from __future__ import annotations

import ipaddress
import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any
from urllib.parse import SplitResult, quote, unquote, urlsplit

from mkw_airflow_provider.client.request import SENDABLE
from mkw_airflow_provider.exceptions import ConfigurationError

DEFAULT_HOST = "app.metakraftwerk.com"
OWN_PORTS = {"http": 80, "https": 443}
#: The longest time that can be set, a year: more would overflow a socket's timeout.
MOST_SECONDS = 31_536_000.0
#: What ``extra`` may hold.
EXTRA_KEYS = (
    "token",
    "project",
    "connect_timeout",
    "read_timeout",
    "outage_tolerance",
    "verify",
    "client_cert",
    "proxy",
    "allow_http",
    "build_link",
)
_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*\.?")
_WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True)
class Settings:
    """How to reach one MetaKraftwerk account. Hashable, so that what is shared can be kept by it.

    :param base_url: scheme, host and port, without a slash at the end.
    :param login: e-mail address for ``POST /authentication`` (documented: not the user name).
    :param password: password for it.
    :param token: a ready access token, used instead of logging in.
    :param project: project for tasks that name none.
    :param connect_timeout: seconds.
    :param read_timeout: seconds that the server may be silent.
    :param outage_tolerance: seconds for which an unreachable or overloaded server is waited out.
    :param verify: whether to check the server's certificate, or the path of a CA bundle to check it with.
    :param client_cert: path of a PEM file with certificate and key.
    :param proxy: URL of a proxy; None: the environment's.
    :param build_link: URL of a build's page, with ``{build_id}`` and ``{project_id}``; None: the server's address.
    """

    base_url: str
    login: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    project: str | None = None
    connect_timeout: float = 10.0
    read_timeout: float = 60.0
    outage_tolerance: float = 900.0
    verify: bool | str = True
    client_cert: str | None = None
    proxy: str | None = field(default=None, repr=False)
    build_link: str | None = None

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never be shown: the token and the passwords, that of the proxy too."""
        proxy = urlsplit(self.proxy or "").password
        # As it stands in the URL and as it is sent.
        found = (self.token, self.password, proxy, proxy and unquote(proxy))
        return tuple(secret for secret in found if secret)

    @classmethod
    def from_fields(
        cls,
        *,
        name: str,
        host: str | None = None,
        port: int | str | None = None,
        schema: str | None = None,
        login: str | None = None,
        password: str | None = None,
        extra: Mapping[str, Any] | str | None = None,
    ) -> Settings:
        """Check a connection's fields.

        :param name: the connection's id, for messages; empty: it has none that means anything.
        :param extra: the extra fields, as a mapping or as the JSON text that Airflow keeps.
        :raises ConfigurationError: with every missing or malformed field in one message, without any secret.
        """
        faults: list[str] = []
        more = _Extra(extra, faults)
        base_url = _base_url(host, port, schema, more.flag("allow_http", default=False), faults)
        settings = cls(
            base_url=base_url,
            login=_without_line_ends(login),
            password=_without_line_ends(password),
            token=more.token(),
            project=more.text("project"),
            connect_timeout=more.seconds("connect_timeout", 10.0, least=0.001),
            read_timeout=more.seconds("read_timeout", 60.0, least=0.001),
            outage_tolerance=more.seconds("outage_tolerance", 900.0, least=0.0),
            verify=more.verify(),
            client_cert=more.file("client_cert"),
            proxy=more.url("proxy"),
            build_link=more.text("build_link"),
        )
        if not settings.token:
            faults += [
                f"{label} is missing (or give an access token in extra `token`)"
                for label, value in (("login, the e-mail address,", settings.login), ("password", settings.password))
                if not value
            ]
        if faults:
            which = f"connection {name!r}" if name else "the connection"
            raise ConfigurationError(f"{which} cannot be used: " + "; ".join(faults))
        return settings


def _without_line_ends(text: str | None) -> str | None:
    """Return what was pasted with a line end behind it as it was meant; blanks may belong to a password."""
    return (text or "").strip("\r\n") or None


def unknown_extra(extra: Mapping[str, Any] | str | None) -> list[str]:
    """Return a sentence for each extra key that nothing reads, with the nearest known one."""
    found = []
    for key in _Extra(extra, []).names():
        if key not in EXTRA_KEYS:
            nearest = get_close_matches(key, EXTRA_KEYS, 1, 0.5)
            advice = f"; did you mean `{nearest[0]}`?" if nearest else ""
            found.append(f"extra `{key}` is unknown and ignored{advice}")
    return found


class _Extra:
    """Reads the extra fields one by one and collects their faults."""

    def __init__(self, extra: Mapping[str, Any] | str | None, faults: list[str]) -> None:
        self._faults = faults
        self._fields: Mapping[str, Any] = {}
        if isinstance(extra, str):
            try:
                extra = json.loads(extra) if extra.strip() else None
            except (ValueError, RecursionError):
                faults.append("extra is not valid JSON")
                return
        if isinstance(extra, Mapping):
            self._fields = extra
        elif extra:
            faults.append("extra is not a JSON object")

    def names(self) -> list[str]:
        return [str(key) for key in self._fields]

    def _get(self, name: str) -> Any:
        value = self._fields.get(name)
        return None if isinstance(value, str) and not value.strip() else value

    def text(self, name: str) -> str | None:
        value = self._get(name)
        if value is None or isinstance(value, str):
            return value and value.strip()
        self._faults.append(f"extra `{name}` must be text")
        return None

    def token(self) -> str | None:
        value = self.text("token")
        if value and not SENDABLE.fullmatch(value):
            self._faults.append("extra `token` has characters that no access token has, such as blanks")
        return value

    def flag(self, name: str, *, default: bool) -> bool:
        value = self._get(name)
        if value is None or isinstance(value, bool):
            return default if value is None else value
        known = _WORDS.get(str(value).strip().lower())
        if known is None:
            self._faults.append(f"extra `{name}` must be true or false")
        return default if known is None else known

    def seconds(self, name: str, default: float, *, least: float) -> float:
        value = self._get(name)
        if value is None:
            return default
        try:
            number = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            number = math.nan
        if least <= number <= MOST_SECONDS:
            return number
        bound = "not below 0" if least == 0 else "above 0"
        if number > MOST_SECONDS:
            bound = f"of at most {MOST_SECONDS:.0f}"
        self._faults.append(f"extra `{name}` must be a number of seconds {bound}")
        return default

    def file(self, name: str) -> str | None:
        value = self.text(name)
        if value and not os.path.exists(value):
            self._faults.append(f"extra `{name}` names {value!r}, which does not exist here")
        return value

    def verify(self) -> bool | str:
        value = self._get("verify")
        if value is None or isinstance(value, bool):
            return True if value is None else value
        word = _WORDS.get(str(value).strip().lower())
        if word is None and not isinstance(value, str):
            self._faults.append("extra `verify` must be true, false or the path of a CA bundle")
            return True
        return word if word is not None else self.file("verify") or True

    def url(self, name: str) -> str | None:
        value = self.text(name)
        if value is None:
            return None
        url = proxy_url(value)
        if url is None:
            self._faults.append(f"extra `{name}` must be a URL such as http://proxy:3128")
        return url


def proxy_url(text: str) -> str | None:
    """Return a proxy's address as a URL; None where it is none, or one of another kind than HTTP."""
    url = text if "://" in text else f"http://{text}"
    parts = _split(url)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        return None
    login = unquote(f"{parts.username}{parts.password}")
    # What Basic authentication can carry for certain.
    return url if all(character <= "\xff" for character in login) else None


def _base_url(host: str | None, port: int | str | None, schema: str | None, allow_http: bool, faults: list[str]) -> str:
    host = (host or DEFAULT_HOST).strip()
    scheme = (schema or "").strip().lower()
    if "://" not in host:
        bare_ipv6 = host.count(":") > 1 and not host.startswith("[")
        host = f"{scheme or 'https'}://[{host}]" if bare_ipv6 else f"{scheme or 'https'}://{host}"
    parts = _split(host)
    name = parts and _host_name(parts.hostname or "")
    if not parts or not parts.hostname or not name:
        faults.append("host is not a host name or a URL")
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
    path = quote(unquote(parts.path).rstrip("/"), safe="/:@!$&'()*+,;=")
    if path.endswith("/api/v1"):
        faults.append(f"host must be the address without /api/v1, such as {parts.scheme}://{name}{path[:-7]}")
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
    if not host.isascii():
        # Not often needed, and its tables are large. Both libraries of the transports come with it.
        import idna

        try:
            host = idna.encode(host, uts46=True).decode()
        except idna.IDNAError:
            return None
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


def _split(url: str) -> SplitResult | None:
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
