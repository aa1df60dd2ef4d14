"""Names that each version of Airflow has elsewhere."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def of_this_version(*paths: str) -> Any:
    """Import the first of these names that the installed Airflow has."""
    for path in paths:
        module, _, name = path.rpartition(".")
        try:
            return getattr(import_module(module), name)
        except (ImportError, AttributeError):
            continue
    raise ImportError(f"this Airflow has none of {paths}")


AirflowRescheduleException = of_this_version(
    "airflow.sdk.exceptions.AirflowRescheduleException", "airflow.exceptions.AirflowRescheduleException"
)
TaskDeferralError = of_this_version("airflow.sdk.exceptions.TaskDeferralError", "airflow.exceptions.TaskDeferralError")
AirflowTaskTimeout = of_this_version(
    "airflow.sdk.exceptions.AirflowTaskTimeout", "airflow.exceptions.AirflowTaskTimeout"
)
attach = of_this_version("airflow.sdk.io.attach", "airflow.io.store.attach")
#: The alarm that Airflow sets around an operator with ``execution_timeout``.
timeout = of_this_version("airflow.sdk.execution_time.timeout.timeout", "airflow.utils.timeout.timeout")
#: What tasks attach to the asset events of their outlets; the same object for the same asset.
OutletEventAccessors = of_this_version(
    "airflow.sdk.execution_time.context.OutletEventAccessors", "airflow.utils.context.OutletEventAccessors"
)
