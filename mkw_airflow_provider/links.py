"""The link on a task to its build in MetaKraftwerk's web application."""

from __future__ import annotations

from typing import Any

from airflow.providers.common.compat.sdk import BaseOperatorLink

__all__ = ["MetaKraftwerkLink"]

#: Key of the XCom with the address, which a task pushes before it waits for anything.
BUILD_URL = "build_url"


class MetaKraftwerkLink(BaseOperatorLink):
    """The button "MetaKraftwerk" in a task's details: what the task has pushed as XCom ``build_url``.

    Where the plugin is installed in the API server, it computes the address for each page view instead.
    """

    name = "MetaKraftwerk"
    xcom_key = BUILD_URL

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Return the address; empty if the task has pushed none, so that there is no button without an address."""
        # Loaded only where a link is read: a DAG file that is parsed needs no XComs.
        from airflow.providers.common.compat.sdk import XCom

        try:
            url = XCom.get_value(ti_key=ti_key, key=BUILD_URL)
        except Exception:  # a link must not break the page, nor add a traceback to a task's log
            return ""
        return url if isinstance(url, str) else ""


def describe_link(build_id: int, url: str) -> str:
    """Return the line of a task's log that says where a build is shown."""
    return f"Build {build_id} in MetaKraftwerk: {url}"
