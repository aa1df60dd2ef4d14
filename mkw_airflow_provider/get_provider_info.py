"""What Airflow reads of this package: the connection form and the modules it offers."""

from __future__ import annotations

from typing import Any


def get_provider_info() -> dict[str, Any]:
    """Return the provider's description, as `airflow/provider_info.schema.json` wants it."""
    return {
        "package-name": "mkw-airflow-provider",
        "name": "MetaKraftwerk",
        "description": "Start MetaKraftwerk builds, wait for them in the triggerer, download and deploy their results.",
    }
