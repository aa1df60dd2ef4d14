"""The name of a component as the host name that Airflow records, to tell components on one machine apart."""

from __future__ import annotations

import os

#: Environment variable with the name of the component that a process belongs to.
VARIABLE = "METAKRAFTWERK_COMPONENT"


def component_name() -> str:
    """Return the component that this process belongs to."""
    return os.environ.get(VARIABLE, "localhost")
