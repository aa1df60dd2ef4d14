"""Downloads with this package's hook and operator, with ``requests`` and with ``curl``."""

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

CHUNK = 1024 * 1024


def ours(url: str, folder: Path) -> None:
    """Download one file with the hook: streamed, hashed, renamed."""
    del url
    # Imported here, so that a process loads only what it measures.
    from mkw_airflow_provider.hooks.metakraftwerk import MetaKraftwerkHook

    MetaKraftwerkHook().download(1, folder / "file.bin")


def ours_in_parallel(url: str, folder: Path) -> None:
    """Download the eight files of a build with the operator."""
    del url
    # Imported here, so that a process loads only what it measures.
    from mkw_airflow_provider.operators.build import DownloadBuildOperator

    DownloadBuildOperator(task_id="download", build_id=1, destination=str(folder), max_parallel=8).execute({})


def requests_content(url: str, folder: Path) -> None:
    """Download one file as most code does: the whole body in memory, then hashed and written."""
    # Imported here, so that a process loads only what it measures.
    import requests

    content = requests.get(f"{url}/api/v1/downloads/1", timeout=60).content
    hashlib.sha256(content).hexdigest()
    (folder / "file.bin").write_bytes(content)


def requests_chunks(url: str, folder: Path) -> None:
    """Download one file in chunks of 1 MiB that are hashed and written immediately, and nothing else."""
    # Imported here, so that a process loads only what it measures.
    import requests

    digest = hashlib.sha256()
    with (
        requests.get(f"{url}/api/v1/downloads/1", stream=True, timeout=60) as response,
        (folder / "file.bin").open("wb") as file,
    ):
        for chunk in response.iter_content(CHUNK):
            digest.update(chunk)
            file.write(chunk)


def curl(url: str, folder: Path) -> None:
    """Pipe one file through ``sha256sum`` without storing it."""
    del folder
    _shell(f"curl --silent --fail {url}/api/v1/downloads/1 | sha256sum")


def curl_then_hash(url: str, folder: Path) -> None:
    """Store one file, then hash it."""
    _shell(f"curl --silent --fail --output '{folder}/file.bin' {url}/api/v1/downloads/1")
    _shell(f"sha256sum '{folder}/file.bin'")


def curl_in_parallel(url: str, folder: Path) -> None:
    """Pipe eight files through ``sha256sum`` in parallel without storing them."""
    del folder
    each = f"curl --silent --fail {url}/api/v1/downloads/1 | sha256sum &"
    _shell(" ".join([each] * 8) + " wait")


def curl_only_in_parallel(url: str, folder: Path) -> None:
    """Store eight files in parallel without hashing them."""
    _shell(f"curl --silent --fail --parallel --output '{folder}/#1.bin' '{url}/api/v1/downloads/[1-8]'")


def _shell(command: str) -> None:
    subprocess.run(command, shell=True, check=True, stdout=subprocess.DEVNULL)  # noqa: S602  # this module's own


WAYS: dict[str, Callable[[str, Path], None]] = {
    "this package": ours,
    "requests, .content": requests_content,
    "requests, chunks of 1 MiB": requests_chunks,
    "curl | sha256sum": curl,
    "curl, then sha256sum": curl_then_hash,
    "this package, 8 files": ours_in_parallel,
    "8 times curl | sha256sum": curl_in_parallel,
    "curl --parallel, no hash": curl_only_in_parallel,
}


def measure(way: str, url: str, small: str, folder: Path) -> dict[str, float]:
    """Measure a download of large files, after a download of small ones as a warm-up."""
    fetch = WAYS[way]
    fetch(small, folder)
    _empty(folder)
    _connect(url)
    gc.collect()
    probes.reset_peak()
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
    """Set Airflow's connection to a server."""
    name, value = triggers.connection(triggers.KINDS[0], url)
    os.environ[name] = value


def main() -> None:
    """Run the job on standard input."""
    job: dict[str, Any] = json.load(sys.stdin)
    folder = Path(job["folder"])
    _connect(job["small"])
    sys.stdout.write("\n" + json.dumps(measure(job["way"], job["url"], job["small"], folder)))


if __name__ == "__main__":
    main()
