"""What this package knows about versions of Airflow and about its internals. No other module may know any of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow import __version__ as airflow_version
from airflow.providers.common.compat.sdk import AirflowOptionalProviderFeatureException, Asset

from mkw_airflow_provider.exceptions import ConfigurationError
from mkw_airflow_provider.safe_values import safe_value

AIRFLOW_VERSION = tuple(int(part) for part in airflow_version.split(".")[:2])
AIRFLOW_V_3_0_PLUS = AIRFLOW_VERSION >= (3, 0)
AIRFLOW_V_3_1_PLUS = AIRFLOW_VERSION >= (3, 1)
#: Starts tasks in the triggerer, and has a task state store.
AIRFLOW_V_3_3_PLUS = AIRFLOW_VERSION >= (3, 3)

#: The method that Airflow names when it resumes a task whose deferral failed, with the reason as ``error``.
FAILED_DEFERRAL = "__fail__"
#: That reason if the time of the deferral was over, for example because no triggerer ran.
TRIGGER_TIMEOUT = "Trigger timeout"


class TaskStateStore:
    """What Airflow keeps for a task instance over retries and clears, until its DAG run is deleted (3.3 and later).

    :param store: Airflow's own accessor.
    """

    def __init__(self, store: Any) -> None:
        self._store = store

    @classmethod
    def of(cls, context: Any) -> TaskStateStore | None:
        """Return the store of the task that runs; None where Airflow has none."""
        store = (context or {}).get("task_state_store")
        return None if store is None else cls(store)

    def get(self, key: str) -> Any:
        """Return what is stored under a key; None if nothing is."""
        return self._store.get(key)

    def set(self, key: str, value: Any) -> None:
        """Store what a value is as :func:`safe_value`.

        It does not expire: a deferred task can wait for longer than Airflow's default.
        """
        # This very object is Airflow's NEVER_EXPIRE, which only 3.3 has.
        self._store.set(key, safe_value(value), retention=timedelta.max)

    def delete(self, key: str) -> None:
        """Delete what is stored under a key, if anything is."""
        self._store.delete(key)


def make_asset(uri: str) -> Any:
    """Return an asset whose name is its URI; before Airflow 3, a dataset, which has no name."""
    # The name would default to the URI as it was typed, and an asset is identified by both.
    return Asset(name=uri, uri=uri) if AIRFLOW_V_3_0_PLUS else Asset(uri)


def attach_extra(context: Any, outlets: Any, extra: dict[str, Any]) -> None:
    """Attach facts to the events that Airflow emits for a task's outlets when the task has succeeded."""
    events: Any = (context or {}).get("outlet_events")
    for outlet in outlets or ():
        if events is not None and isinstance(outlet, Asset):
            events[outlet].extra.update(extra)


def event_trigger_base() -> Any:
    """Return the base class of triggers that watch for events; before Airflow 3, that of all triggers."""
    # Reading a DAG file that watches nothing must not load what only triggers need.
    from airflow.triggers import base

    return getattr(base, "BaseEventTrigger", base.BaseTrigger)


class AssetStateStore:
    """What Airflow keeps for an asset that a trigger watches, until the asset is deleted (3.3 and later).

    :param store: Airflow's own accessor.
    """

    def __init__(self, store: Any) -> None:
        self._store = store

    @classmethod
    def of(cls, trigger: Any) -> AssetStateStore | None:
        """Return the store of the asset that a trigger watches; None where Airflow has none."""
        store = getattr(trigger, "asset_state_store", None)
        return None if store is None else cls(store)

    async def get(self, key: str) -> Any:
        """Return what is stored under a key; None if nothing is."""
        return await self._store.aget(key)

    async def set(self, key: str, value: Any) -> None:
        """Store what a value is as :func:`safe_value`."""
        await self._store.aset(key, safe_value(value))


def approval_operator() -> Any:
    """Return Airflow's operator that asks a person to approve.

    :raises ConfigurationError: before Airflow 3.1, which does not have it.
    """
    try:
        # Only a task group with approvals needs it; before Airflow 3.1 the import fails, with an error that depends on
        # the provider.
        from airflow.providers.standard.operators.hitl import ApprovalOperator
    except (ImportError, AttributeError, AirflowOptionalProviderFeatureException) as error:
        raise ConfigurationError(
            "`approve` needs Airflow 3.1 or later and its standard provider, which have the ApprovalOperator"
        ) from error
    return ApprovalOperator
