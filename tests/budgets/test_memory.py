"""Memory of a trigger and of a download, measured in processes of their own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from dev.benchmarks.clients import triggers
from dev.benchmarks.harness import run_client
from dev.benchmarks.servers.process import serving
from tests.budgets.conftest import NEWEST

pytestmark = [NEWEST, pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")]

MEBIBYTE = 1024 * 1024


def test_trigger_takes_less_than_50_kb() -> None:
    """Beyond the first hundred triggers. Python's objects are about 11 kB; the rest is a margin for its allocator."""
    with serving("polls", seconds=10) as server:
        name, value = triggers.connection("metakraftwerk", server.url)
        job = {"kind": "metakraftwerk", "url": server.url, "count": 500, "interval": 2.0, "settled": 4.0}
        figures = run_client("triggerer", job, {name: value})
        counts = server.counts()
    assert figures["failures"] == 0
    assert figures["memory"] < 50_000
    assert counts["polls"] >= 2 * 500
    assert counts["logins"] == 1
    assert counts["connections"] <= 10


@pytest.mark.parametrize("way", ["this package", "requests, .content"])
def test_download_of_256_mib_takes_16_mib(way: str, tmp_path: Path) -> None:
    """A client that holds the body in memory takes all of it, which shows that the measurement works."""
    with serving("files", mebibytes=256) as server, serving("files", mebibytes=1) as small:
        job = {"way": way, "url": server.url, "small": small.url, "folder": str(tmp_path)}
        growth = run_client("download", job)["memory"]
    if way == "this package":
        assert growth <= 16 * MEBIBYTE
    else:
        assert growth > 250 * MEBIBYTE
