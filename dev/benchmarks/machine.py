"""The machine that the figures were measured on, and the versions of what ran."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

PACKAGES = (
    "mkw-airflow-provider",
    "apache-airflow",
    "apache-airflow-providers-dbt-cloud",
    "apache-airflow-providers-databricks",
    "apache-airflow-providers-airbyte",
    "apache-airflow-providers-http",
    "aiohttp",
    "requests",
)


def describe() -> dict[str, Any]:
    """Return a description of the machine as JSON."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 1),
    }


def versions() -> dict[str, str]:
    """Return the versions of what is measured."""
    curl = subprocess.run(["curl", "--version"], capture_output=True, text=True, check=True)  # noqa: S607
    return {**{package: version(package) for package in PACKAGES}, "curl": curl.stdout.split()[1]}


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()
