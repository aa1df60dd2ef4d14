"""Calls that are made once, so that what ends them is the limit under test, and the memory that they take."""

from __future__ import annotations

import tracemalloc

import pytest

from mkw_airflow_provider.client.api.catalog import find_projects


@pytest.fixture
def peak():
    """The largest amount of memory that Python objects took in a block, in MiB."""

    class Peak:
        def __enter__(self):
            tracemalloc.start()
            return self

        def __exit__(self, *_):
            self.mebibytes = tracemalloc.get_traced_memory()[1] / 1024 / 1024
            tracemalloc.stop()

    return Peak()


@pytest.fixture
def once(connect):
    """A call to a server is made once, with short time-outs."""

    def call(server, request=None, **extra):
        short = {"token": "t", "outage_tolerance": 0, "read_timeout": 5, "connect_timeout": 5}
        return connect(host=server.url, extra=short | extra).call(request or find_projects())

    return call
