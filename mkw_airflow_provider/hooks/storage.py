"""From a destination that a user wrote to a folder of files."""

from __future__ import annotations

import os
from typing import Any

from mkw_airflow_provider.client.storage.folder import Folder
from mkw_airflow_provider.exceptions import ConfigurationError


def folder_of(destination: Any, storage_conn_id: str | None = None) -> Folder:
    """Return the folder that a local path or any URL of ``ObjectStoragePath`` names.

    :param storage_conn_id: the Airflow connection for the storage; may stand in the URL instead, before an ``@``.
    :raises ConfigurationError: for a scheme that is not known here, or a relative URL.
    """
    text = str(destination)
    if "://" not in text:
        from fsspec.implementations.local import LocalFileSystem

        local = os.path.abspath(os.path.expanduser(text))
        return Folder(LocalFileSystem(), local, local)
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    options = {"conn_id": storage_conn_id} if storage_conn_id else {}
    try:
        path = ObjectStoragePath(destination, **options)
        return Folder(path.fs, path.path, text)
    except (ValueError, ImportError) as error:
        raise ConfigurationError(f"`destination` {text!r} cannot be used: {error}") from error


def is_folder(destination: Any) -> bool:
    """Whether a destination names a folder: it ends in a slash, or is one that exists locally."""
    text = str(destination)
    return text.endswith("/") or ("://" not in text and os.path.isdir(text))
