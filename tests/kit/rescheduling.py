"""Operators that give their worker back and are executed again later."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from tests.kit.airflow_names import AirflowRescheduleException


def execute(make: Callable[[], Any], operator: Any, context: dict[str, Any]) -> Any:
    """Execute an operator, again in another process as often as it wants to be rescheduled."""
    while True:
        try:
            return operator.execute(context)
        except AirflowRescheduleException:
            time.sleep(0.05)
            operator = make()
