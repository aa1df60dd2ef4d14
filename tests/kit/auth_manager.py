"""Airflow's simple auth manager with one user who may read no DAG: its roles alone cannot express that."""

from __future__ import annotations

from typing import Any

from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager


class AuthManager(SimpleAuthManager):
    """Hides all DAGs from the user ``outsider``."""

    def is_authorized_dag(self, *, user: Any, **arguments: Any) -> bool:
        """Return whether a user may do something with a DAG."""
        return user.username != "outsider" and super().is_authorized_dag(user=user, **arguments)
