"""Triggers without a triggerer: stored, made again and run."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from airflow.triggers.base import BaseTrigger

from tests.kit.airflow_names import of_this_version


def through_database(trigger: BaseTrigger) -> BaseTrigger:
    """Store a trigger and make it again from its row, as scheduler and triggerer do."""
    from airflow.models.trigger import Trigger

    row = Trigger.from_object(trigger)
    made: BaseTrigger = of_this_version(row.classpath)(**row.kwargs)
    return made


async def only_event(trigger: BaseTrigger) -> dict[str, Any]:
    """Run a trigger to its end and return the payload of its only event, as the database keeps it."""
    payloads = [event.payload async for event in trigger.run()]
    assert len(payloads) == 1
    payload: dict[str, Any] = json.loads(json.dumps(payloads[0]))
    return payload


async def first_event(trigger: Any, patience: float) -> Any:
    """Run a trigger as the triggerer does, up to its first event.

    :param patience: seconds after which it is stopped.
    :return: the event's payload, the error that the trigger raised, or None if it was stopped.
    """
    try:
        return await asyncio.wait_for(_first_payload(trigger), patience)
    except asyncio.TimeoutError:
        return None


async def _first_payload(trigger: Any) -> Any:
    await _ensure_portal()
    try:
        async for event in trigger.run():
            return json.loads(json.dumps(event.payload))
    except Exception as error:
        return error
    return RuntimeError("the trigger ended without an event")


async def _ensure_portal() -> None:
    """Let synchronous code of a trigger wait for the loop, as the triggerer of Airflow 3 does."""
    try:
        import greenback  # Airflow 2 has none
    except ImportError:
        return
    await greenback.ensure_portal()
