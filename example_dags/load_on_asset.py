"""Load the tables of a pattern each time its results have been deployed.

A deployment with ``outlets=[pattern_asset("DEMO_PROJECT", "CORE_DV_HLS")]`` emits the event that starts this DAG. The
event says which build was deployed, and with which files. Needs Airflow 3.
"""

from __future__ import annotations

from typing import Any

import pendulum
from airflow.sdk import DAG, task

from mkw_airflow_provider.assets import pattern_asset

core = pattern_asset("DEMO_PROJECT", "CORE_DV_HLS")

with DAG(
    dag_id="metakraftwerk_load_on_asset",
    schedule=[core],
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    doc_md=__doc__,
    tags=["metakraftwerk"],
) as dag:

    @task
    def load(triggering_asset_events: Any = None) -> dict[str, list[str]]:
        """Load what each event names, and return the names of the files by build."""
        loaded: dict[str, list[str]] = {}
        for event in triggering_asset_events[core]:
            names = [file["name"] for file in event.extra["files"]]
            loaded.setdefault(str(event.extra["build_id"]), []).extend(names)
        return loaded

    load()
