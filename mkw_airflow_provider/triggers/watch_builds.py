"""What watchers do on the event loop; loaded when the first one runs, not when a DAG file is read."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.providers.common.compat.connection import get_async_connection

from mkw_airflow_provider.client.api.builds import Build, BuildHead
from mkw_airflow_provider.client.flows import ApiSession, Flow
from mkw_airflow_provider.client.flows.finished_builds import (
    BuildList,
    Watermark,
    find_pattern_id,
    has_pattern,
    list_builds,
)
from mkw_airflow_provider.client.text import foreign_text
from mkw_airflow_provider.client.token_cache import token_cache_for
from mkw_airflow_provider.client.transports.aio import shared_client
from mkw_airflow_provider.exceptions import ConfigurationError
from mkw_airflow_provider.hooks.connection import mask_in_triggerer, settings_of, user_agent
from mkw_airflow_provider.safe_values import safe_value
from mkw_airflow_provider.triggers.build import SIGNALS
from mkw_airflow_provider.version_compat import AssetStateStore

#: Seconds between two errors in the log, and before the poll that follows an error.
PAUSE_AFTER_ERROR = 60.0
#: Seconds after which an event that was sent is surely recorded.
EVENT_RECORDED = 3.0


async def poll_builds(watcher: Any) -> AsyncIterator[BuildList]:
    """Yield the builds of a watcher's project after each poll, for ever. Errors are logged.

    :param watcher: a :class:`~mkw_airflow_provider.triggers.events.BuildFinishedTrigger`.
    """
    has_failed = False
    while True:
        builds = await _poll(watcher)
        if builds is None:
            await asyncio.sleep(max(PAUSE_AFTER_ERROR, watcher.poll_interval))
        else:
            if has_failed:
                watcher.log.info("The builds of %s can be read again.", _scope(watcher))
            yield builds
            await asyncio.sleep(watcher.poll_interval)
        has_failed = builds is None


async def _poll(watcher: Any) -> BuildList | None:
    """Return the builds of a watcher's project; None after an error, which is logged."""
    try:
        builds: BuildList = await _run(watcher, _list)
    except SIGNALS:
        raise
    except BaseException as error:  # Airflow's DeadlockImminentError is not an Exception
        watcher.log.error(  # noqa: TRY400  # the traceback would say nothing more
            "The builds of %s cannot be read: %s. Polling again in %.0f s; builds that finish until then are reported "
            "later.",
            _scope(watcher),
            _described(error),
            max(PAUSE_AFTER_ERROR, watcher.poll_interval),
        )
        return None
    return builds


async def new_builds(watcher: Any, lists: AsyncIterator[BuildList]) -> AsyncIterator[dict[str, Any]]:
    """Yield each build that has finished, as the payload of an event. Errors are logged.

    :param watcher: a :class:`~mkw_airflow_provider.triggers.events.BuildFinishedTrigger`.
    :param lists: what :func:`poll_builds` yields.
    """
    cursor = _Cursor(watcher)
    async for builds in lists:
        for head in await cursor.take(builds):
            build = head.build
            if cursor.wants(build):
                watcher.log.info("Build %s finished; sending an event for asset %r.", build.id, watcher.asset)
                # Not on the event loop: a build of 1 MiB takes seconds to search for secrets.
                payload = safe_value(await asyncio.to_thread(build.to_dict))
                cursor.sent_at = time.monotonic()
                yield payload


class _Cursor:
    """Where one watcher is in the list of builds."""

    def __init__(self, watcher: Any) -> None:
        self._watcher = watcher
        self._store = AssetStateStore.of(watcher)
        self._watermark: Watermark | None = None
        self._saved: dict[str, Any] | None = None
        self._pattern_id: int | None = None
        self._error_logged_at: float | None = None
        #: When the last event was sent, by the monotonic clock.
        self.sent_at: float | None = None

    async def take(self, builds: BuildList) -> list[BuildHead]:
        """Return the builds that have finished since the last list; none after an error, which is logged."""
        try:
            return await self._take(builds)
        except SIGNALS:
            raise
        except BaseException as error:  # Airflow's DeadlockImminentError is not an Exception
            self._log_error(error)
            return []

    def wants(self, build: Build) -> bool:
        """Whether a build is one that this watcher reports."""
        return self._pattern_id is None or has_pattern(build, self._pattern_id)

    async def _take(self, builds: BuildList) -> list[BuildHead]:
        if self._watcher.pattern is not None and self._pattern_id is None:
            self._pattern_id = await _run(self._watcher, _pattern_id)
        if self._watermark is None:
            self._watermark = await self._begin(builds)
        # What was sent after the list before this one is recorded by now.
        await self._save(self._watermark)
        return self._watermark.take(builds)

    async def _begin(self, builds: BuildList) -> Watermark:
        stored = None if self._store is None else await self._store.get(self._key)
        watermark = Watermark.from_dict(stored)
        if watermark is not None and watermark.source == builds.source:
            self._saved = watermark.to_dict()
            self._watcher.log.info("Asset %r: reporting builds that finished since the last run.", self._watcher.asset)
            return watermark
        self._watcher.log.info("Asset %r: reporting builds that finish from now on.", self._watcher.asset)
        return Watermark.begin(builds)

    async def _save(self, watermark: Watermark) -> None:
        """Store the watermark, unless an event that it counts may not be recorded yet: a kill would lose the event."""
        if self._store is None or (self.sent_at is not None and time.monotonic() - self.sent_at < EVENT_RECORDED):
            return
        state = watermark.to_dict()
        if state != self._saved:
            await self._store.set(self._key, state)
            self._saved = state

    def _log_error(self, error: BaseException) -> None:
        """Log an error, unless another one was logged less than a minute ago."""
        now = time.monotonic()
        if self._error_logged_at is None or now - self._error_logged_at >= PAUSE_AFTER_ERROR:
            self._error_logged_at = now
            self._watcher.log.error(
                "The watcher of asset %r failed: %s. It continues with the next poll and reports what it missed.",
                self._watcher.asset,
                _described(error),
            )

    @property
    def _key(self) -> str:
        """What tells this watcher's state from that of another watcher of the same asset."""
        watcher = self._watcher
        filters = [watcher.metakraftwerk_conn_id, watcher.project, watcher.project_id, watcher.pattern, watcher.user]
        return f"metakraftwerk_builds_{hashlib.sha256(repr(filters).encode()).hexdigest()[:16]}"


async def _run(watcher: Any, make: Any) -> Any:
    """Run a flow with the Airflow connection as it is now: somebody may have corrected it."""
    settings = settings_of(await get_async_connection(watcher.metakraftwerk_conn_id))
    for secret in settings.secrets:
        await mask_in_triggerer(secret)
    session = ApiSession(settings, token_cache_for(settings), log=watcher.log)
    async with shared_client(settings, user_agent(), mask_in_triggerer) as client:
        return await client.run(make(watcher, session))


def _list(watcher: Any, session: ApiSession) -> Flow[BuildList]:
    project, project_id = watcher.project, watcher.project_id
    if project is None and project_id is None:
        project = session.settings.project
    if project is None and project_id is None:
        raise ConfigurationError("no project to watch: give the trigger a `project`, or the connection")
    return list_builds(session, project=project, project_id=project_id, user=watcher.user)


def _pattern_id(watcher: Any, session: ApiSession) -> Flow[int]:
    return find_pattern_id(session, watcher.pattern)


def _scope(watcher: Any) -> str:
    project = watcher.project if watcher.project_id is None else watcher.project_id
    return "the connection's project" if project is None else f"project {project!r}"


def _described(error: BaseException) -> str:
    return foreign_text(f"{type(error).__name__}: {error}").rstrip(".")
