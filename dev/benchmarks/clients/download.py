"""Fetching files: this package's hook and operator, ``requests``, and ``curl``."""

from __future__ import annotations

import gc
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dev.benchmarks.clients import probes, triggers

PIECE = 1024 * 1024


def ours(url: str, folder: Path) -> None:
    """Fetch one file with the hook: streamed, hashed, renamed."""
    del url
    from mkw_airflow_provider.hooks.metakraftwerk import MetaKraftwerkHook

    MetaKraftwerkHook().download(1, folder / "file.bin")


def ours_in_parallel(url: str, folder: Path) -> None:
    """Fetch the eight files of a build with the operator."""
    del url
    from mkw_airflow_provider.operators.build import DownloadBuildOperator

    DownloadBuildOperator(task_id="download", build_id=1, destination=str(folder), max_parallel=8).execute({})


def requests_content(url: str, folder: Path) -> None:
    """Fetch one file as much code does it: the whole body in memory, then hashed and written."""
    import requests

    content = requests.get(f"{url}/api/v1/downloads/1", timeout=60).content
    hashlib.sha256(content).hexdigest()
    (folder / "file.bin").write_bytes(content)


def requests_pieces(url: str, folder: Path) -> None:
    """Fetch one file in pieces of 1 MiB, hashed and written on the way, and nothing else."""
    import requests

    digest = hashlib.sha256()
    with (
        requests.get(f"{url}/api/v1/downloads/1", stream=True, timeout=60) as response,
        (folder / "file.bin").open("wb") as file,
    ):
        for piece in response.iter_content(PIECE):
            digest.update(piece)
            file.write(piece)


def curl(url: str, folder: Path) -> None:
    """Pipe one file through ``sha256sum``. It is not stored."""
    del folder
    _shell(f"curl --silent --fail {url}/api/v1/downloads/1 | sha256sum")


def curl_then_hash(url: str, folder: Path) -> None:
    """Store one file, then hash it."""
    _shell(f"curl --silent --fail --output '{folder}/file.bin' {url}/api/v1/downloads/1")
    _shell(f"sha256sum '{folder}/file.bin'")


def curl_in_parallel(url: str, folder: Path) -> None:
    """Pipe eight files through ``sha256sum`` at once. They are not stored."""
    del folder
    each = f"curl --silent --fail {url}/api/v1/downloads/1 | sha256sum &"
    _shell(" ".join([each] * 8) + " wait")


def curl_only_in_parallel(url: str, folder: Path) -> None:
    """Store eight files at once, and hash none."""
    _shell(f"curl --silent --fail --parallel --output '{folder}/#1.bin' '{url}/api/v1/downloads/[1-8]'")


def _shell(command: str) -> None:
    subprocess.run(command, shell=True, check=True, stdout=subprocess.DEVNULL)  # noqa: S602  # this module's own


WAYS: dict[str, Callable[[str, Path], None]] = {
    "this package": ours,
    "requests, .content": requests_content,
    "requests, pieces of 1 MiB": requests_pieces,
    "curl | sha256sum": curl,
    "curl, then sha256sum": curl_then_hash,
    "this package, 8 files": ours_in_parallel,
    "8 times curl | sha256sum": curl_in_parallel,
    "curl --parallel, no hash": curl_only_in_parallel,
}


def measure(way: str, url: str, small: str, folder: Path) -> dict[str, float]:
    """Fetch from a server of large files what was fetched from a server of small ones before, uncounted."""
    fetch = WAYS[way]
    fetch(small, folder)
    _empty(folder)
    _connect(url)
    gc.collect()
    probes.forget_peak()
    memory, cpu, wall = probes.memory(), probes.cpu() + probes.children_cpu(), time.perf_counter()
    fetch(url, folder)
    figures = {
        "cpu": probes.cpu() + probes.children_cpu() - cpu,
        "wall": time.perf_counter() - wall,
        "memory": probes.peak_memory() - memory,
    }
    _empty(folder)
    return figures


def _empty(folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()


def _connect(url: str) -> None:
    """Let Airflow's connection lead to a server."""
    name, value = triggers.connection(triggers.KINDS[0], url)
    os.environ[name] = value


def main() -> None:
    """Do what the JSON on standard input says."""
    order: dict[str, Any] = json.load(sys.stdin)
    folder = Path(order["folder"])
    _connect(order["small"])
    sys.stdout.write("\n" + json.dumps(measure(order["way"], order["url"], order["small"], folder)))


if __name__ == "__main__":
    main()
