"""Fetching one file: resumed where it broke off, and never with the token to another host."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import urljoin, urlsplit

from mkw_airflow_provider.client.downloads import get_file
from mkw_airflow_provider.client.flows.conversation import Conversation, Flow
from mkw_airflow_provider.client.settings import is_loopback
from mkw_airflow_provider.client.wire import Call, Reply, Sink
from mkw_airflow_provider.exceptions import DownloadError

MOST_REDIRECTS = 5


def fetch(talk: Conversation, download_id: int, sink: Sink) -> Flow[None]:
    """Fetch a file into a sink, which asks for the missing part itself after each break.

    :raises NotFoundError: if there is no such download.
    :raises ConnectionFailedError: if no piece came for ``outage_tolerance``.
    :raises DownloadError: if the sink refuses, or redirects lead nowhere.
    """
    call = get_file(download_id, sink)
    for _ in range(MOST_REDIRECTS + 1):
        reply: Reply = yield from talk.request(call)
        target = reply.redirects_to
        if target is None:
            return
        call = _redirected(talk, call, target)
    raise DownloadError(f"download {download_id} was redirected more than {MOST_REDIRECTS} times")


def _redirected(talk: Conversation, call: Call[Any], target: str) -> Call[Any]:
    base = talk.settings.base_url
    url = urljoin(call.url(base), target)
    here, there = urlsplit(base), urlsplit(url)
    if there.scheme not in ("http", "https") or not there.hostname:
        raise DownloadError(f"{call} was redirected to something that is no web address")
    if there.scheme == "http" and here.scheme == "https" and not is_loopback(there.hostname):
        raise DownloadError(f"{call} was redirected to {there.hostname} without TLS: not followed")
    same = (here.scheme, here.netloc) == (there.scheme, there.netloc)
    return replace(call, path=url, authenticated=call.authenticated and same, token=None)
