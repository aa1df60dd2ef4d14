"""The modules that only a running task needs, loaded when they are first used: reading a DAG file loads no flow."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkw_airflow_provider.client.flows import deploy as deploy
    from mkw_airflow_provider.client.flows import download_build as download_build
    from mkw_airflow_provider.client.flows import polling as polling
    from mkw_airflow_provider.client.flows import start as start
    from mkw_airflow_provider.client.flows import wait as wait
    from mkw_airflow_provider.client.flows import wait_result as wait_result
    from mkw_airflow_provider.client.storage import content_digest as content_digest
    from mkw_airflow_provider.client.transports import stopping as stopping
    from mkw_airflow_provider.hooks import metakraftwerk as metakraftwerk
    from mkw_airflow_provider.hooks import storage as storage
    from mkw_airflow_provider.operators import attempt as attempt
    from mkw_airflow_provider.operators import build_record as build_record
    from mkw_airflow_provider.operators import deployment_record as deployment_record
    from mkw_airflow_provider.operators import lineage as lineage
    from mkw_airflow_provider.operators import unchanged as unchanged
    from mkw_airflow_provider.triggers import build

    trigger = build

_MODULES = {
    "client.flows": ("deploy", "download_build", "polling", "start", "wait", "wait_result"),
    "client.storage": ("content_digest",),
    "client.transports": ("stopping",),
    "hooks": ("metakraftwerk", "storage"),
    "operators": ("attempt", "build_record", "deployment_record", "lineage", "unchanged"),
}
_PATHS = {name: f"{package}.{name}" for package, names in _MODULES.items() for name in names}
_PATHS["trigger"] = "triggers.build"


def __getattr__(name: str) -> ModuleType:
    if name not in _PATHS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module(f"mkw_airflow_provider.{_PATHS[name]}")
