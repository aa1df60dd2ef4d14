"""What the import of a provider adds to a DAG file that has imported Airflow."""

from __future__ import annotations

import importlib
import json
import sys

from dev.benchmarks.clients import probes


def measure(modules: list[str]) -> dict[str, float]:
    """Import modules and return the CPU seconds, modules and memory that they added."""
    importlib.import_module("airflow.sdk").DAG  # noqa: B018  # loaded on access
    before, memory, cpu = set(sys.modules), probes.memory(), probes.cpu()
    for module in modules:
        importlib.import_module(module)
    cpu = probes.cpu() - cpu
    loaded = set(sys.modules) - before
    return {
        "cpu": cpu,
        "memory": probes.memory() - memory,
        "modules": len(loaded),
        "requests": float("requests" in loaded),
        "aiohttp": float("aiohttp" in loaded),
    }


def main() -> None:
    """Run the job on standard input."""
    sys.stdout.write("\n" + json.dumps(measure(json.load(sys.stdin)["modules"])))


if __name__ == "__main__":
    main()
