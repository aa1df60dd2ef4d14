"""One request and its response, as values. The only place that encodes or decodes JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timezone
from email.utils import parsedate_to_datetime
from functools import cached_property, lru_cache
from typing import Any, Generic, Protocol, TypeVar
from urllib.parse import quote, urlencode

from mkw_airflow_provider.client import json_text
from mkw_airflow_provider.client.text import (
    address_without_secrets,
    foreign_text,
    secrets_in_address,
)
from mkw_airflow_provider.exceptions import ApiError, ConfigurationError, ProtocolError, api_error

#: Bytes of JSON about one object. An event loop can decode so much without delaying others.
MAX_OBJECT_BODY = 1024 * 1024
MAX_LIST_BODY = 256 * 1024 * 1024
MAX_ERROR_BODY = 64 * 1024
#: Bytes of a file in memory: smaller pieces cost more CPU, larger ones more memory.
PIECE = 1024 * 1024
#: A response that is not a file must be complete within this many times ``read_timeout``.
SLOWEST_RESPONSE = 10
#: What a header can carry as a token. The libraries' errors about any other text would show it.
SENDABLE = re.compile(r"[\x21-\x7e]+")

API = "/api/v1"

T = TypeVar("T")
R = TypeVar("R")


class Sink(Protocol):
    """Where a transport puts a body that must not be held in memory."""

    @property
    def received(self) -> int:
        """How many bytes it has received, over all attempts."""

    def headers(self) -> dict[str, str]:
        """Return request headers that ask for the missing part."""

    def begin(self, response: Response) -> None:
        """Take the status and headers of a 2xx response whose body follows; may refuse by raising."""

    def write(self, piece: bytes) -> None:
        """Take the next piece of the body."""


@dataclass(frozen=True)
class Response:
    """The response of a server.

    :param status: the HTTP status.
    :param headers: names in lower case.
    :param body: the whole body; of an error at most :data:`MAX_ERROR_BODY` bytes; empty where a sink took it.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def ok(self) -> bool:
        """Whether this is any 2xx: which one the API sends is not documented."""
        return 200 <= self.status < 300

    @property
    def is_json_object(self) -> bool:
        """Whether the body is a JSON object, as all error responses of the API are."""
        return isinstance(self.json_or_none(), dict)

    @property
    def is_of_the_api(self) -> bool:
        """Whether this error comes from the API and not from a gateway. Of a long body only the beginning was read."""
        return self.is_json_object or (len(self.body) >= MAX_ERROR_BODY and self.body.lstrip()[:1] == b"{")

    @cached_property
    def date(self) -> float | None:
        """The server's clock when it sent the response, in epoch seconds; None if it does not say."""
        return _epoch(self.headers.get("date", ""))

    @property
    def redirects_to(self) -> str | None:
        """The target of a redirect; None for any other response."""
        return self.headers.get("location") if self.status in (301, 302, 303, 307, 308) else None

    def json(self) -> Any:
        """Decode the body.

        :raises ProtocolError: where it is no JSON, e.g. a gateway's HTML page.
        """
        with suppress(ValueError, RecursionError):
            return json_text.decode(self.body)
        # Raised outside of any handler: the decoder's error holds the whole body.
        raise ProtocolError(
            f"the response ({self.described}) is not the documented JSON: {foreign_text(self.body, 200)}"
        )

    def json_or_none(self) -> Any:
        """Decode the body; None where it is no JSON. No error keeps a part of the body."""
        try:
            return json_text.decode(self.body)
        except (ValueError, RecursionError):
            return None

    @property
    def described(self) -> str:
        """Status, type and length: what may be said of a body that must not be shown."""
        kind = re.match(r"[\w.+-]{1,50}/[\w.+-]{1,50}", self.headers.get("content-type", ""))
        return f"{self.status}, {kind[0] if kind else 'no content type'}, {len(self.body)} bytes"

    def retry_after(self, now: float) -> float | None:
        """Return the seconds that ``Retry-After`` asks for, given as seconds or as an HTTP date; None without it.

        :param now: epoch seconds, used for a date if the response has no ``Date`` to count from.
        """
        value = self.headers.get("retry-after", "").strip()
        if not value:
            return None
        try:
            return max(0.0, float(value))
        except ValueError:
            moment = _epoch(value)
        if moment is None:
            return None
        return max(0.0, moment - (self.date or now))


# Thousands of waits receive the same date within a second.
@lru_cache(maxsize=16)
def _epoch(http_date: str) -> float | None:
    if not http_date:
        return None
    try:
        moment = parsedate_to_datetime(http_date)
    except (ValueError, TypeError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return moment.timestamp()


@dataclass(frozen=True)
class Request(Generic[R]):
    """One request and how to read its response. A value: making one sends nothing.

    :param method: in upper case.
    :param path: from the server's root, quoted; or a whole URL where a redirect led elsewhere.
    :param read: turns the response into a value, or raises :class:`ProtocolError`.
    :param query: pairs; values as they are, quoted when sent.
    :param body: the JSON object to send.
    :param retryable: whether sending it twice does no harm. None: by its method.
    :param authenticated: whether it needs a token.
    :param sees_redirects: whether ``read`` takes a redirect too; else one is an error, as any other 3xx.
    :param sink: takes the body of a 2xx instead of the response.
    :param token: the access token to send.
    :param is_confidential: whether the body of the response may hold a secret that is not known yet: it is never shown.
    :param returns_list: whether the response is as long as a list, though ``read`` is no :class:`~.rows.ReadList`.
    """

    method: str
    path: str
    read: Callable[[Response], R]
    query: tuple[tuple[str, str], ...] = ()
    body: Mapping[str, Any] | None = field(default=None, repr=False)
    retryable: bool | None = None
    authenticated: bool = True
    sees_redirects: bool = False
    sink: Sink | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    is_confidential: bool = False
    returns_list: bool = False

    @property
    def is_retryable(self) -> bool:
        """Whether the request may be sent again if its response was lost."""
        return self.method == "GET" if self.retryable is None else self.retryable

    @property
    def target(self) -> str:
        """Path and query, encoded once for every transport."""
        return f"{self.path}?{urlencode(self.query)}" if self.query else self.path

    def url(self, base_url: str) -> str:
        """Return the whole address of the request at a server."""
        return self.target if "://" in self.path else base_url + self.target

    @property
    def content(self) -> bytes | None:
        """The body as it is sent."""
        return None if self.body is None else json.dumps(self.body, separators=(",", ":")).encode()

    def request_headers(self, user_agent: str) -> dict[str, str]:
        """Return every header of the request, the same for every transport."""
        headers = {
            # Feathers, which the API resembles, may respond with HTML unless JSON is requested.
            "Accept": "*/*" if self.sink else "application/json",
            # What is counted is what is sent: sizes, limits and ranges are those of the file.
            "Accept-Encoding": "identity",
            "User-Agent": user_agent,
        }
        if self.body is not None:
            headers["Content-Type"] = "application/json"
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        if self.sink is not None:
            headers.update(self.sink.headers())
        return headers

    def with_token(self, token: str | None) -> Request[R]:
        """Return the same call with a token."""
        # Each poll needs one, and `replace` takes five times as long.
        authorized: Request[R] = object.__new__(type(self))
        authorized.__dict__.update(self.__dict__, token=token)
        return authorized

    def body_limit(self, status: int) -> int:
        """Return how many bytes of a response's body may be read."""
        if not 200 <= status < 300:
            return MAX_ERROR_BODY
        return MAX_LIST_BODY if self.is_list else MAX_OBJECT_BODY

    @property
    def is_list(self) -> bool:
        """Whether the response is a list. It may be large, and is then read outside the event loop."""
        return self.returns_list or getattr(self.read, "is_list", False)

    def accepts(self, response: Response) -> bool:
        """Whether ``read`` can make a value of a response."""
        return response.ok or (self.sees_redirects and response.redirects_to is not None)

    def __str__(self) -> str:
        return f"{self.method} {self.shown_path}"

    @property
    def shown_path(self) -> str:
        """The path for people. Login and query of an address that a redirect led to may be secrets."""
        return address_without_secrets(self.path)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be shown of an address that a redirect led to."""
        return tuple(secrets_in_address(self.path)) if "://" in self.path else ()

    def error(self, response: Response, note: str = "") -> ApiError:
        """Return the error for a response outside 2xx, with the server's message."""
        return api_error(response.status, self._message(response), self.method, self.shown_path, note)

    def _message(self, response: Response) -> str:
        """Return an error body's ``message`` if it is JSON with one, else its text. The form is not documented."""
        value = response.json_or_none()
        message = value.get("message") if isinstance(value, dict) else None
        # A login that is refused gives no token away, so its reason may be shown.
        if self.is_confidential and not (isinstance(message, str) and 400 <= response.status < 500):
            return f"(body not shown: {response.described})"
        text = message if isinstance(message, str) else response.body
        return foreign_text(text, secrets=self.secrets) or "(no text)"


class TransportError(Exception):
    """There was no usable response. Internal: flows turn it into an error of the public tree.

    :param text: what happened.
    :param sent: whether the request may have reached the server: then nobody knows what the server did.
    """

    def __init__(self, text: str, *, sent: bool) -> None:
        super().__init__(foreign_text(text))
        self.sent = sent


def api_path(*segments: str | int) -> str:
    """Return the quoted path of an API resource.

    :raises ConfigurationError: for a segment that would change the path's shape.
    """
    quoted = [quote(str(segment), safe="") for segment in segments]
    if any(segment in ("", ".", "..") for segment in quoted):
        raise ConfigurationError(f"{segments!r} is no resource of the API")
    return "/".join((API, *quoted))


def query(**filters: Any) -> tuple[tuple[str, str], ...]:
    """Return the filters that are set as query pairs: objects as JSON, booleans as the API's pages write them."""
    return tuple((name, _query_value(value)) for name, value in filters.items() if value is not None)


def _query_value(value: Any) -> str:
    if isinstance(value, (bool, Mapping)):
        return json.dumps(value, separators=(",", ":"))
    return str(value)


def read_one(read: Callable[[Any], T]) -> Callable[[Response], T]:
    """Return a reader of a single object."""
    return lambda response: read(response.json())
