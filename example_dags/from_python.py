"""Build from Python: one function starts a build, waits for it and fetches its files.

The hook leaves no mark to find a build again by, so a retry of this task would start another build: it has none.
"""

from __future__ import annotations

import os

import pendulum
from airflow.providers.common.compat.sdk import DAG, task

from mkw_airflow_provider.hooks.metakraftwerk import MetaKraftwerkHook

RESULTS = os.environ.get("METAKRAFTWERK_RESULTS", os.path.expanduser("~/metakraftwerk"))

with DAG(
    dag_id="metakraftwerk_from_python",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    doc_md=__doc__,
    tags=["metakraftwerk"],
) as dag:

    @task(retries=0)
    def build_and_fetch() -> list[str]:
        """Build one instance and return the paths of the files."""
        hook = MetaKraftwerkHook()
        created = hook.create_build(project="DEMO_PROJECT", instances=[{"id": 1001}], description="built from Python")
        build = hook.wait_for_build(created.build.id, timeout=3600)
        folder = f"{RESULTS}/build-{build.id}/"
        return [hook.download(download.id, folder).path for download in build.downloads]

    build_and_fetch()
