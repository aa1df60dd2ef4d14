"""Watchers of assets without a triggerer: run as it runs them, with Airflow's own shared streams where it has them."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from tests.kit.asset_store import AssetStore
from tests.kit.triggers import through_database

try:
    from airflow.triggers.shared_stream import SharedStreamManager
except ImportError:  # before Airflow 3.3
    SharedStreamManager = None  # type: ignore[assignment,misc]


class Watcher:
    """One running watcher, and the payloads of its events."""

    def __init__(self, trigger: Any) -> None:
        self.trigger = trigger
        self.payloads: list[dict[str, Any]] = []
        self.task: asyncio.Task[None] | None = None

    @property
    def builds(self) -> list[int]:
        """Ids of the builds that it has reported."""
        return [payload["id"] for payload in self.payloads]


class Watchers:
    """The watchers of one triggerer. Leaving the block kills it."""

    def __init__(self) -> None:
        self._streams = None
        if SharedStreamManager is not None:
            self._streams = SharedStreamManager(
                log=logging.getLogger("shared streams"),  # type: ignore[arg-type]
                max_subscriber_queue=1024,
                ack_timeout=300.0,
                cohort_grace_period=0.0,
            )
        self._watchers: list[Watcher] = []

    async def __aenter__(self) -> Watchers:
        return self

    async def __aexit__(self, *_: object) -> None:
        tasks = [watcher.task for watcher in self._watchers if watcher.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._streams is not None:
            await self._streams.stop_all()

    def start(self, trigger: Any, store: AssetStore | None = None) -> Watcher:
        """Start a watcher from its row.

        :param store: of its asset; None: as before Airflow 3.3.
        """
        watcher = Watcher(through_database(trigger))
        watcher.trigger.asset_state_store = store
        events = watcher.trigger.run()
        if self._streams is not None:
            stream = self._streams.subscribe(
                trigger_id=len(self._watchers), trigger=watcher.trigger, key=watcher.trigger.shared_stream_key()
            )
            events = watcher.trigger.filter_shared_stream(stream)
        watcher.task = asyncio.create_task(_collect(watcher, events))
        self._watchers.append(watcher)
        return watcher


async def _collect(watcher: Watcher, events: Any) -> None:
    with suppress(asyncio.CancelledError):
        async for event in events:
            watcher.payloads.append(json.loads(json.dumps(event.payload)))


async def until(condition: Callable[[], Any]) -> None:
    """Return when a condition is true; it is checked in a thread."""
    while not await asyncio.to_thread(condition):
        await asyncio.sleep(0.02)
