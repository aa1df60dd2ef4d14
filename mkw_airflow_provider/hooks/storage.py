"""From a destination that a user wrote to a folder of files."""

from __future__ import annotations

import os
from typing import Any

from mkw_airflow_provider.client.storage.folder import Folder
from mkw_airflow_provider.client.validation import destination_text
from mkw_airflow_provider.exceptions import ConfigurationError


def folder_of(destination: Any, storage_conn_id: str | None = None) -> Folder:
    """Return the folder that an absolute local path or any URL of ``ObjectStoragePath`` names.

    :param storage_conn_id: the Airflow connection for the storage; may be in the URL instead, before an ``@``.
    :raises ConfigurationError: for what is neither, or a scheme that is not known here.
    """
    text = destination_text(destination)
    if "://" not in text:
        # Here and not above: a DAG file must not load fsspec.
        from fsspec.implementations.local import LocalFileSystem

        local = os.path.abspath(os.path.expanduser(text))
        return Folder(LocalFileSystem(), local, local)
    # Here and not above: it loads all of Airflow's object storage, which a local folder does not need.
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    options = {"conn_id": storage_conn_id} if storage_conn_id else {}
    try:
        path = ObjectStoragePath(text, **options)
        return Folder(path.fs, path.path, text)
    except (ValueError, ImportError) as error:
        raise ConfigurationError(f"`destination` {text!r} cannot be used: {error}") from error


def file_of(destination: Any) -> tuple[Folder, str]:
    """Return the folder and the name of a file; the name is empty for a folder, which ends in ``/`` or exists locally.

    :raises ConfigurationError: as :func:`folder_of` does.
    """
    text = destination_text(destination)
    if text.endswith("/") or ("://" not in text and os.path.isdir(os.path.expanduser(text))):
        return folder_of(text), ""
    parent, _, name = text.rpartition("/")
    return folder_of(parent or "/"), name
