"""What importing all operators, sensors and triggers adds to parsing a DAG file, compared with other providers."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import partial
from typing import Any

from dev.benchmarks.harness import Figures, Plan, Table, Target, interleaved, run_client

#: The module in which each provider lists its modules for Airflow.
PROVIDERS = {
    "metakraftwerk": "mkw_airflow_provider.get_provider_info",
    "dbt-cloud": "airflow.providers.dbt.cloud.get_provider_info",
    "databricks": "airflow.providers.databricks.get_provider_info",
    "airbyte": "airflow.providers.airbyte.get_provider_info",
    "http": "airflow.providers.http.get_provider_info",
}
OURS, *PEERS = PROVIDERS


def modules_of(provider: str) -> list[str]:
    """Return the modules with a provider's operators, sensors and triggers."""
    info: dict[str, Any] = importlib.import_module(PROVIDERS[provider]).get_provider_info()
    entries = [entry for kind in ("operators", "sensors", "triggers") for entry in info.get(kind, [])]
    return [module for entry in entries for module in entry["python-modules"]]


def run(plan: Plan) -> list[Table]:
    """Measure and return the table."""

    def imported(provider: str) -> Figures:
        return run_client("importing", {"modules": modules_of(provider)})

    subjects: dict[str, Callable[[], Figures]] = {name: partial(imported, name) for name in PROVIDERS}
    rounds = interleaved("imports", plan, subjects)
    best = min(PEERS, key=lambda peer: rounds.median(peer, "cpu"))
    libraries = rounds.median(OURS, "requests") + rounds.median(OURS, "aiohttp")
    return [
        Table(
            name="imports",
            title="Import of all operators, sensors and triggers",
            note="In a fresh process that has imported `airflow.sdk.DAG`, all byte-compiled.",
            columns=(
                "provider",
                "CPU, ms",
                "ratio of this package",
                "modules",
                "memory, MiB",
                "requests",
                "aiohttp",
            ),
            rows=[
                [
                    name,
                    1000 * rounds.median(name, "cpu"),
                    rounds.ratio(OURS, name, "cpu"),
                    rounds.median(name, "modules"),
                    rounds.median(name, "memory") / 2**20,
                    *("loaded" if rounds.median(name, library) else "no" for library in ("requests", "aiohttp")),
                ]
                for name in PROVIDERS
            ],
            targets=[
                Target("CPU of the imports compared with dbt-cloud", 0.1, rounds.ratio(OURS, "dbt-cloud", "cpu")),
                Target(f"CPU of the imports compared with {best}, the best", 0.25, rounds.ratio(OURS, best, "cpu")),
                Target("imports: HTTP libraries loaded", 0, libraries, ""),
            ],
        )
    ]
