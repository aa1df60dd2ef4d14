"""A connection's fields, checked. One error reports all faults."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from difflib import get_close_matches
from string import Formatter
from typing import Any
from urllib.parse import unquote, urlsplit

from mkw_airflow_provider.client.request import SENDABLE
from mkw_airflow_provider.client.server_address import proxy_url, read_base_url, split_url
from mkw_airflow_provider.client.text import foreign_text
from mkw_airflow_provider.exceptions import ConfigurationError

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

    def build_url(self, build_id: int, project_id: int | None) -> str:
        """Return the address of a build's page; no deep link is documented, so the default is the web application's.

        :param project_id: None: not known; if ``build_link`` needs it, the web application is returned, too.
        """
        if self.build_link is None or (project_id is None and "{project_id" in self.build_link):
            return self.base_url
        return self.build_link.format(build_id=build_id, project_id=project_id)

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
        base_url = read_base_url(host, port, schema, more.flag("allow_http", default=False), faults)
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
            build_link=more.link("build_link"),
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


def describe_unknown_extra(extra: Mapping[str, Any] | str | None) -> str:
    """Return a sentence about the extra keys that nothing reads, with the nearest known ones; else empty."""
    unknown = []
    for key in _Extra(extra, []).names():
        if key not in EXTRA_KEYS:
            nearest = get_close_matches(key.lower(), EXTRA_KEYS, 1, 0.5)
            unknown.append(f"`{foreign_text(key, 100)}`" + (f" (did you mean `{nearest[0]}`?)" if nearest else ""))
    return f"unknown extra keys are ignored: {', '.join(unknown[:20])}" if unknown else ""


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

    def link(self, name: str) -> str | None:
        value = self.text(name)
        if value is None:
            return None
        parts = None
        with suppress(ValueError):
            # Only plain placeholders: `str.format` would also read attributes.
            if {name for _, name, *_ in Formatter().parse(value)} <= {None, "build_id", "project_id"}:
                parts = split_url(value.format(build_id=1, project_id=1))
        if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
            self._faults.append(f"extra `{name}` must be a URL that may contain {{build_id}} and {{project_id}}")
            return None
        if parts.username or parts.password:
            # It is shown on pages and in logs.
            self._faults.append(f"extra `{name}` must not hold a login")
            return None
        return value

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
