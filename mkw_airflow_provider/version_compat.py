"""What this package knows about versions of Airflow and about its internals. No other module may know any of it."""

from __future__ import annotations

from airflow import __version__ as airflow_version

AIRFLOW_VERSION = tuple(int(part) for part in airflow_version.split(".")[:2])
AIRFLOW_V_3_0_PLUS = AIRFLOW_VERSION >= (3, 0)
AIRFLOW_V_3_1_PLUS = AIRFLOW_VERSION >= (3, 1)
#: Starts tasks in the triggerer, and has a task state store.
AIRFLOW_V_3_3_PLUS = AIRFLOW_VERSION >= (3, 3)

#: The method that Airflow names when it resumes a task whose deferral failed, with the reason as ``error``.
FAILED_DEFERRAL = "__fail__"
#: That reason if the time of the deferral was over, for example because no triggerer ran.
TRIGGER_TIMEOUT = "Trigger timeout"
