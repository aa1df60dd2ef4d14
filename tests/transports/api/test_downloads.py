"""``/downloads``: the list by each filter with both transports; files, which only workers download, with requests."""

from __future__ import annotations

import io
import zipfile
from dataclasses import fields

import pytest

from mkw_airflow_provider.client.api.downloads import Download, find_downloads, get_file
from mkw_airflow_provider.client.flows.download import fetch
from mkw_airflow_provider.exceptions import NotFoundError


@pytest.fixture
def finished(metakraftwerk):
    """Build 5139 has the downloads 5442 and 5443, build 5140 has 5444."""
    metakraftwerk.set(build_seconds=0)
    metakraftwerk.start_build(instances=["AIRPLANE", "STG_AIRPLANE"])
    metakraftwerk.start_build()


class Memory:
    """A sink that keeps the file in memory."""

    def __init__(self):
        self.received = 0
        self.content = b""
        self.status = None

    def headers(self):
        return {}

    def begin(self, reply):
        self.status = reply.status

    def write(self, piece):
        self.content += piece
        self.received += len(piece)


@pytest.mark.parametrize(
    ("filters", "query", "ids"),
    [
        ({}, [], [5442, 5443, 5444]),
        ({"build_id": 5139}, [["build_id", "5139"]], [5442, 5443]),
        ({"pattern": "STAGE_LOAD"}, [["pattern", "STAGE_LOAD"]], [5443]),
        ({"pattern_id": 808}, [["pattern_id", "808"]], [5442, 5444]),
        ({"build_id": "5140", "pattern_id": "808"}, [["build_id", "5140"], ["pattern_id", "808"]], [5444]),
    ],
)
def test_find_narrows_by_each_filter(metakraftwerk, api, finished, filters, query, ids):
    assert [download.id for download in api.call(find_downloads(**filters))] == ids
    request = metakraftwerk.requests("GET")[-1]
    assert (request["path"], request["query"], request["body"]) == ("/api/v1/downloads", query, None)


def test_find_reads_every_documented_field(api, finished):
    _, download, _ = api.call(find_downloads())
    raw = dict(download.raw)
    # The pattern's name is in builds only.
    assert set(raw) == {field.name for field in fields(Download)} - {"raw", "pattern"}
    assert {name: getattr(download, name) for name in raw} == raw
    assert (download.id, download.pattern, download.pattern_id, download.type) == (5443, None, 810, "SNOWFLAKE")
    assert (download.build_id, download.project_id, download.upload_id) == (5139, 402, 1361)


@pytest.fixture
def worker(metakraftwerk, connect_over, over_requests):
    """demo@example.com in a worker."""
    connection = metakraftwerk.connection
    del connection["conn_type"]
    return connect_over(over_requests, **connection)


def test_file_is_downloaded_unchanged(metakraftwerk, finished, worker):
    sink = Memory()
    worker.run(fetch(worker.session, 5442, sink))
    request = metakraftwerk.requests("GET")[-1]
    assert (request["path"], request["query"], request["authorized"]) == ("/api/v1/downloads/5442", [], True)
    assert (request["headers"]["accept"], request["headers"]["accept-encoding"]) == ("*/*", "identity")
    assert (sink.status, sink.received) == (200, len(sink.content))
    assert zipfile.ZipFile(io.BytesIO(sink.content)).testzip() is None
    assert metakraftwerk.downloads()[0]["downloaded"] == 1


def test_missing_file_is_an_error(worker, metakraftwerk):
    sink = Memory()
    with pytest.raises(NotFoundError) as caught:
        worker.call(get_file(9, sink))
    assert str(caught.value) == "GET /api/v1/downloads/9 returned 404: No record found for id '9'"
    assert (sink.status, sink.content) == (None, b"")


def test_redirect_to_the_same_host_gets_the_token(metakraftwerk, finished, worker):
    metakraftwerk.set(download_redirect="same")
    sink = Memory()
    worker.run(fetch(worker.session, 5442, sink))
    first, second = metakraftwerk.requests("GET")
    assert (first["status"], second["status"]) == (302, 200)
    assert second["path"].startswith("/files/results/")
    assert second["authorized"] is True
    assert sink.content[:2] == b"PK"


def test_redirect_to_another_host_gets_no_token(metakraftwerk, finished, worker, serve):
    file = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfile"
    other = serve(lambda request: file)
    metakraftwerk.set(download_redirect=other.url)
    sink = Memory()
    worker.run(fetch(worker.session, 5442, sink))
    (arrived,) = other.arrived
    assert arrived.line.startswith("GET /files/results/")
    assert arrived.header("authorization") is None
    assert sink.content == b"file"
