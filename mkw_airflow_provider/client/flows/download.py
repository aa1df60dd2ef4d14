"""Downloading one file: resumed after a break, and never with the token to another host."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Protocol
from urllib.parse import SplitResult, urljoin, urlsplit

from mkw_airflow_provider.client.api.downloads import get_file
from mkw_airflow_provider.client.request import Request, Response, Sink
from mkw_airflow_provider.client.server_address import is_loopback
from mkw_airflow_provider.client.session import ApiSession, Flow
from mkw_airflow_provider.exceptions import ApiError, DownloadError, RateLimitedError

MAX_REDIRECTS = 5
#: The server has no bytes from the requested position on.
RANGE_NOT_SATISFIABLE = 416


class ResumableSink(Sink, Protocol):
    """A sink that asks for the missing part of a file, and can drop what it has."""

    def start_over(self) -> None:
        """Forget what was received, so that the next request asks for the whole file."""


def fetch(session: ApiSession, download_id: int, sink: ResumableSink) -> Flow[None]:
    """Download a file into a sink, which asks for the missing part itself after each break.

    :raises NotFoundError: if there is no such download.
    :raises ConnectionFailedError: if no piece was received for ``outage_tolerance``.
    :raises DownloadError: if the sink refuses, or redirects lead nowhere.
    """
    first = get_file(download_id, sink)
    request, redirects, received_when_refused = first, 0, -1
    while redirects <= MAX_REDIRECTS:
        try:
            response = yield from _request_part_or_all(session, request, sink)
        except ApiError as error:
            is_refused = error.status < 500 and not isinstance(error, RateLimitedError)
            if request is first or not is_refused or sink.received == received_when_refused:
                raise
            # The signature in a redirect's address expires; the API gives a new one.
            session.log.info("%s was refused with %s; starting again from %s.", request, error.status, first)
            request, redirects, received_when_refused = first, 0, sink.received
            continue
        target = response.redirects_to
        if target is None:
            return
        request = _redirected(session, request, target)
        redirects += 1
    raise DownloadError(f"download {download_id} was redirected more than {MAX_REDIRECTS} times")


def _request_part_or_all(session: ApiSession, request: Request[Response], sink: ResumableSink) -> Flow[Response]:
    try:
        return (yield from session.request(request))
    except ApiError as error:
        if error.status != RANGE_NOT_SATISFIABLE or not sink.received:
            raise
        session.log.info("%s: the server cannot resume the file; downloading it from the beginning.", request)
    sink.start_over()
    return (yield from session.request(request))


def _redirected(session: ApiSession, request: Request[Any], target: str) -> Request[Any]:
    base = session.settings.base_url
    try:
        url = urljoin(request.url(base), target)
        here, there = urlsplit(base), urlsplit(url)
        is_same = _origin(here) == _origin(there)
    except ValueError as error:
        raise DownloadError(f"{request} was redirected to something that is not a web address") from error
    if there.scheme not in ("http", "https") or not there.hostname:
        raise DownloadError(f"{request} was redirected to something that is not a web address")
    if there.scheme == "http" and here.scheme == "https" and not is_loopback(there.hostname):
        raise DownloadError(f"{request} was redirected to {there.hostname} without TLS; the redirect was not followed")
    return replace(request, path=url, authenticated=request.authenticated and is_same, token=None)


def _origin(parts: SplitResult) -> tuple[str, str | None, str | None, int | None]:
    """Return what must be the same for the token to be sent: an address with a login in it is another one."""
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, parts.username, parts.hostname, port
