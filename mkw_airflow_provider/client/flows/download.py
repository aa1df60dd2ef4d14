"""Fetching one file: resumed where it broke off, and never with the token to another host."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Protocol
from urllib.parse import SplitResult, urljoin, urlsplit

from mkw_airflow_provider.client.api.downloads import get_file
from mkw_airflow_provider.client.request import Request, Response, Sink
from mkw_airflow_provider.client.session import ApiSession, Flow
from mkw_airflow_provider.client.settings import is_loopback
from mkw_airflow_provider.exceptions import ApiError, DownloadError

MOST_REDIRECTS = 5
#: The server has nothing from the place on at which the file broke off.
RANGE_NOT_SATISFIABLE = 416


class ResumableSink(Sink, Protocol):
    """A sink that asks for the missing part of a file, and can give up what it has."""

    def start_over(self) -> None:
        """Forget what came, so that the next request asks for the whole file."""


def fetch(session: ApiSession, download_id: int, sink: ResumableSink) -> Flow[None]:
    """Fetch a file into a sink, which asks for the missing part itself after each break.

    :raises NotFoundError: if there is no such download.
    :raises ConnectionFailedError: if no piece came for ``outage_tolerance``.
    :raises DownloadError: if the sink refuses, or redirects lead nowhere.
    """
    request = get_file(download_id, sink)
    for _ in range(MOST_REDIRECTS + 1):
        response = yield from _part_or_whole(session, request, sink)
        target = response.redirects_to
        if target is None:
            return
        request = _redirected(session, request, target)
    raise DownloadError(f"download {download_id} was redirected more than {MOST_REDIRECTS} times")


def _part_or_whole(session: ApiSession, request: Request[Response], sink: ResumableSink) -> Flow[Response]:
    try:
        return (yield from session.request(request))
    except ApiError as error:
        if error.status != RANGE_NOT_SATISFIABLE or not sink.received:
            raise
        session.log.info("%s: the server has no more of the file from where it broke off. Starting over.", request)
    sink.start_over()
    return (yield from session.request(request))


def _redirected(session: ApiSession, request: Request[Any], target: str) -> Request[Any]:
    base = session.settings.base_url
    try:
        url = urljoin(request.url(base), target)
        here, there = urlsplit(base), urlsplit(url)
        same = _origin(here) == _origin(there)
    except ValueError as error:
        raise DownloadError(f"{request} was redirected to something that is no web address") from error
    if there.scheme not in ("http", "https") or not there.hostname:
        raise DownloadError(f"{request} was redirected to something that is no web address")
    if there.scheme == "http" and here.scheme == "https" and not is_loopback(there.hostname):
        raise DownloadError(f"{request} was redirected to {there.hostname} without TLS: not followed")
    return replace(request, path=url, authenticated=request.authenticated and same, token=None)


def _origin(parts: SplitResult) -> tuple[str, str | None, str | None, int | None]:
    """Return what must be the same for the token to be sent: an address with a login in it is another one."""
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, parts.username, parts.hostname, port
