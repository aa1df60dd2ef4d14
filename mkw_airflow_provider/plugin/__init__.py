"""The plugin for Airflow's pages: a link on tasks, a tab "Build" on task instances and a page with all builds.

Every process of Airflow loads this module, so it imports nothing of the pages; only the API server does.
"""

from __future__ import annotations

from typing import Any

from airflow.configuration import conf
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

    @cached_property
    def external_views(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """Return the page and the tab, unless they are turned off."""
        if not _are_on():
            return []
        return [
            {
                "name": "MetaKraftwerk builds",
                "href": f"{PREFIX}/builds",
                "destination": "nav",
                "category": "browse",
                "url_route": "metakraftwerk-builds",
            },
            {
                "name": "Build",
                # In the path and not in the query: Airflow before 3.3 does not encode the values.
                "href": f"{PREFIX}/tab/{{DAG_ID}}/{{RUN_ID}}/{{TASK_ID}}/{{MAP_INDEX}}",
                "destination": "task_instance",
                "url_route": "metakraftwerk-build",
            },
        ]

    @cached_property
    def fastapi_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """Return the pages; none before Airflow 3.1, which could not show them."""
        # Here and not above: every process of Airflow loads the plugin.
        from mkw_airflow_provider.version_compat import AIRFLOW_V_3_1_PLUS

        if not AIRFLOW_V_3_1_PLUS or not _are_on():
            return []
        # Only the API server reads this.
        from mkw_airflow_provider.plugin.web import make_app

        return [{"app": make_app(), "url_prefix": f"/{PREFIX}", "name": self.name}]


def _are_on() -> bool:
    return bool(conf.getboolean("metakraftwerk", "pages", fallback=True))
