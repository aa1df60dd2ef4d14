"""What a trigger does on the event loop; loaded when the first one runs, not by reading a DAG file."""

from __future__ import annotations

from typing import Any

from airflow.providers.common.compat.connection import get_async_connection

from mkw_airflow_provider.client.flows import ApiSession
from mkw_airflow_provider.client.flows.polling import FLOOR
from mkw_airflow_provider.client.flows.wait import PollHistory, wait
from mkw_airflow_provider.client.settings import Settings
from mkw_airflow_provider.client.token_cache import token_cache_for
from mkw_airflow_provider.client.transports.aio import shared_client
from mkw_airflow_provider.exceptions import BuildTimeoutError, MetaKraftwerkError
from mkw_airflow_provider.hooks.connection import mask_in_triggerer, settings_of, user_agent

#: A worker has just looked at the build, and an event of the first 5 s would have to wait: the first look comes after
#: so many of the shortest pauses.
FIRST_LOOK = 4.0
#: Where no worker has looked yet, the first looks of a nightly fan-out are spread over so many seconds.
SPREAD = 1.0


async def watch(trigger: Any) -> dict[str, Any]:
    """Wait for a trigger's build and return the payload of its event.

    :param trigger: a :class:`~mkw_airflow_provider.triggers.build.BuildTrigger`.
    """
    history = PollHistory()
    payload: dict[str, Any] = {"build_id": trigger.build_id, "deadline": trigger.deadline}
    try:
        settings = settings_of(await get_async_connection(trigger.metakraftwerk_conn_id))
        for secret in settings.secrets:
            await mask_in_triggerer(secret)

        async def read_connection() -> Settings:
            return settings_of(await get_async_connection(trigger.metakraftwerk_conn_id))

        session = ApiSession(settings, token_cache_for(settings), log=trigger.log, reload_settings=read_connection)
        first_pause = SPREAD * session.random()
        if trigger.has_looked:
            first_pause = min(FIRST_LOOK * FLOOR, trigger.poll_interval) * (1 + 0.5 * session.random())
        flow = wait(
            session,
            trigger.build_id,
            poll_interval=trigger.poll_interval,
            deadline=trigger.deadline,
            first_pause=first_pause,
            history=history,
        )
        async with shared_client(settings, user_agent(), mask_in_triggerer) as client:
            build = await client.run(flow)
        payload.update(outcome="ended", build=build.to_dict())
    except BuildTimeoutError as error:
        payload.update(outcome="timeout", error=error.to_dict())
    except MetaKraftwerkError as error:
        payload.update(outcome="error", error=error.to_dict())
    return {**payload, "history": history.to_dict()}
