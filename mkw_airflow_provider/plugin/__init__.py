"""The plugin for Airflow's pages: a link on tasks, a tab "Build" on task instances and a page with all builds.

Every process of Airflow loads this module, so it imports nothing of the pages; only the API server does.
"""

from __future__ import annotations

from typing import Any

from airflow.plugins_manager import AirflowPlugin

from mkw_airflow_provider.hooks.cached import cached_property

#: Where the pages are, relative to the address of the API server.
PREFIX = "metakraftwerk"


class MetaKraftwerkPlugin(AirflowPlugin):
    """What this package adds to Airflow's pages. Airflow before 3.1 ignores the tab and the page."""

    name = "metakraftwerk"

    @cached_property
    def operator_extra_links(self) -> list[Any]:  # type: ignore[override]
        """Return the link that is computed in the API server."""
        # Only processes that read serialized DAGs need it.
        from mkw_airflow_provider.plugin.link import PluginLink

        return [PluginLink()]
