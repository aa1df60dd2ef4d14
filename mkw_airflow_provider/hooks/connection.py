"""From an Airflow connection to settings, a user agent and masked secrets: the same for hook and trigger."""

from __future__ import annotations

import logging
from typing import Any

from airflow import __version__ as airflow_version

from mkw_airflow_provider import __version__
from mkw_airflow_provider.client.settings import Settings, describe_unknown_extra
from mkw_airflow_provider.client.text import foreign_text

log = logging.getLogger(__name__)


def settings_of(connection: Any) -> Settings:
    """Check a connection's fields.

    :param connection: an Airflow connection of any supported version.
    :raises ConfigurationError: with every missing or malformed field in one message.
    """
    if unknown := describe_unknown_extra(connection.extra):
        log.warning("Connection %s: %s.", connection.conn_id, foreign_text(unknown))
    return Settings.from_fields(
        name=connection.conn_id,
        host=connection.host,
        port=connection.port,
        schema=connection.schema,
        login=connection.login,
        password=connection.password,
        # Not `extra_dejson`: in a triggerer before Airflow 3.3.2 it can block the event loop.
        extra=connection.extra,
    )


def user_agent() -> str:
    """Return what this package calls itself towards the server."""
    return f"mkw-airflow-provider/{__version__} apache-airflow/{airflow_version}"


def mask(secret: str) -> None:
    """Keep a text out of every log of this task."""
    try:
        # Airflow 2 has it in another place.
        from airflow.sdk.log import mask_secret
    except ImportError:
        from airflow.utils.log.secrets_masker import mask_secret  # type: ignore[import-not-found,no-redef]
    mask_secret(secret)


async def mask_in_triggerer(secret: str) -> None:
    """Keep a text out of every log of this triggerer, without blocking its event loop."""
    try:
        # Since Airflow 3.2 only.
        from airflow.sdk.log import amask_secret
    except ImportError:
        from asgiref.sync import sync_to_async

        # Not by asyncio's own threads: out of those, Airflow before 3.2 asks its supervisor on another event loop, and
        # the triggerer occasionally deadlocks on a response that it waits for itself.
        await sync_to_async(mask)(secret)
    else:
        await amask_secret(secret)
