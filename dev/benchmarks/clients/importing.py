"""What a DAG file pays for importing a provider, after it has imported Airflow's own part."""

from __future__ import annotations

import importlib
import json
import sys

from dev.benchmarks.clients import probes


def measure(modules: list[str]) -> dict[str, float]:
    """Import modules, and return the CPU seconds, modules and memory that came with them."""
    importlib.import_module("airflow.sdk").DAG  # noqa: B018  # it is loaded when it is looked up
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
    """Do what the JSON on standard input says."""
    sys.stdout.write("\n" + json.dumps(measure(json.load(sys.stdin)["modules"])))


if __name__ == "__main__":
    main()
