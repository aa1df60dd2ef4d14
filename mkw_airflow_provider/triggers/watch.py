"""What a trigger does on the event loop; loaded when the first one runs, not when a DAG file is read."""

from __future__ import annotations

import asyncio
import math
import random
import time
from functools import partial
from typing import Any

from airflow.providers.common.compat.connection import get_async_connection

from mkw_airflow_provider.client.flows import ApiSession, Flow
from mkw_airflow_provider.client.flows.wait import PollHistory, wait
from mkw_airflow_provider.client.flows.wait_result import Failed, TimedOut, WaitResult
from mkw_airflow_provider.client.settings import Settings
from mkw_airflow_provider.client.text import foreign_text, quote_value
from mkw_airflow_provider.client.token_cache import token_cache_for
from mkw_airflow_provider.client.transports.aio import shared_client
from mkw_airflow_provider.exceptions import MetaKraftwerkError, WaitInterruptedError
from mkw_airflow_provider.hooks.connection import mask_in_triggerer, settings_of, user_agent
from mkw_airflow_provider.triggers.build import SIGNALS

#: A worker has just polled the build, and an event before this many seconds would have to wait.
FIRST_POLL = 5.0
#: Polls of a nightly fan-out are spread over this many seconds.
SPREAD = 1.0
#: The pauses between two attempts to read the Airflow connection double up to this many seconds.
LONGEST_CONNECTION_PAUSE = 30.0


class _DeadlineOverError(Exception):
    """The time for waiting was over before the Airflow connection could be read."""


async def watch(trigger: Any) -> dict[str, Any]:
    """Wait for a trigger's build and return the payload of its event.

    :param trigger: a :class:`~mkw_airflow_provider.triggers.build.BuildTrigger`.
    """
    history = PollHistory()
    result: WaitResult
    try:
        async with shared_client(await _read_settings(trigger), user_agent(), mask_in_triggerer) as client:
            # The client's settings, not those just read: thousands of triggers share one object.
            await _mask(client.settings)
            result = await client.run(_flow(trigger, client.settings, history))
    except _DeadlineOverError as error:
        result = TimedOut(trigger.build_id, trigger.limit, None, str(error))
    except MetaKraftwerkError as error:
        result = Failed(trigger.build_id, error)
    # Not on the event loop: a build of 1 MiB takes seconds to search for secrets.
    outcome = await asyncio.to_thread(result.to_dict)
    return {**outcome, "deadline": trigger.deadline, "limit": trigger.limit, "history": history.to_dict()}


def _flow(trigger: Any, settings: Settings, history: PollHistory) -> Flow[WaitResult]:
    poll_interval = _number("poll_interval", trigger.poll_interval, least=0.001)
    session = ApiSession(
        settings,
        token_cache_for(settings),
        log=trigger.log,
        reload_settings=partial(_reload_settings, trigger.metakraftwerk_conn_id),
    )
    first_pause = SPREAD * session.random()
    if trigger.has_polled:
        first_pause += min(FIRST_POLL, poll_interval)
    return wait(
        session,
        trigger.build_id,
        poll_interval=poll_interval,
        deadline=_deadline(trigger),
        limit=trigger.limit,
        first_pause=first_pause,
        exists=trigger.has_polled,
        history=history,
    )


async def _reload_settings(conn_id: str) -> Settings:
    rotated = settings_of(await get_async_connection(conn_id))
    await _mask(rotated)
    return rotated


async def _mask(settings: Settings) -> None:
    for secret in settings.secrets:
        await mask_in_triggerer(secret)


def _number(name: str, value: Any, least: float = -math.inf) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value >= least:
        return float(value)
    raise WaitInterruptedError(f"the trigger's argument `{name}` is {quote_value(value)}, which is not a valid number")


def _deadline(trigger: Any) -> float | None:
    return None if trigger.deadline is None else _number("deadline", trigger.deadline)


async def _read_settings(trigger: Any) -> Settings:
    """Read the Airflow connection, again while that fails: a secrets backend may be down for a moment.

    :raises ConfigurationError: for a connection with malformed fields.
    :raises WaitInterruptedError: if it could not be read within the tolerance.
    :raises _DeadlineOverError: if the deadline is over before.
    """
    deadline = _deadline(trigger)
    tolerance = _number("outage_tolerance", trigger.outage_tolerance)
    began, pause = time.monotonic(), 0.5
    while True:
        try:
            return settings_of(await get_async_connection(trigger.metakraftwerk_conn_id))
        except (*SIGNALS, MetaKraftwerkError):
            raise
        except BaseException as error:  # Airflow's DeadlockImminentError is not an Exception
            reason = (
                f"the triggerer could not read the connection {quote_value(trigger.metakraftwerk_conn_id)}: "
                f"{type(error).__name__}: {foreign_text(str(error), 500)}"
            )
        left = began + tolerance - time.monotonic()
        if left <= 0:
            raise WaitInterruptedError(reason)
        if deadline is not None:
            left = min(left, deadline - time.time())
            if left <= 0:
                raise _DeadlineOverError(reason)
        seconds = min(pause * (0.5 + 0.5 * random.random()), left)  # noqa: S311  # jitter needs no secrecy
        trigger.log.warning("Build %s: %s; retrying in %.1f s", trigger.build_id, reason, seconds)
        await asyncio.sleep(seconds)
        pause = min(2 * pause, LONGEST_CONNECTION_PAUSE)
