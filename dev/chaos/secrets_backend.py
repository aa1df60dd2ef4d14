"""A secrets backend that reads connections from a file, so that chaos can change them while Airflow runs."""

from __future__ import annotations

import json
from pathlib import Path

from airflow.secrets import BaseSecretsBackend


class FileBackend(BaseSecretsBackend):
    """Connections of a JSON file, which is read for every request.

    :param path: the file: an object of connections in Airflow's JSON form, by id.
    """

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = Path(path)

    def get_conn_value(self, conn_id: str, team_name: str | None = None) -> str | None:
        """Return a connection in its JSON form; None if the file does not hold it."""
        connection = json.loads(self._path.read_text()).get(conn_id)
        return None if connection is None else json.dumps(connection)
