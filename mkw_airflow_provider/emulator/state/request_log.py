"""The request log: what arrived, from whom, and the response status. It never contains a password or a token."""

from __future__ import annotations

import fnmatch
import json
import logging
import time
from typing import Any
from urllib.parse import parse_qsl

from mkw_airflow_provider.emulator.state.store import Row, Store, iso, now

# Older entries are deleted, so that a load test cannot fill the memory.
KEPT = 100_000

SECRET_HEADERS = {"authorization", "proxy-authorization", "cookie"}
SECRET_FIELDS = {"password", "token", "accesstoken", "access_token"}
REDACTED = "***"

logger = logging.getLogger(__name__)


class RequestLog:
    """Requests, oldest first, stored in the database.

    :param store: the database.
    :param echo: also log a line for each on this module's logger.
    """

    def __init__(self, store: Store, *, echo: bool) -> None:
        self._store = store
        self._echo = echo

    def add(self, scope: Any, body: bytes, user_id: int | None) -> Entry:
        """Add a request before it is handled."""
        headers: dict[str, str] = {}
        for name, value in scope["headers"]:
            key = name.decode("latin-1").lower()
            text = value.decode("latin-1")
            headers[key] = f"{headers[key]}, {text}" if key in headers else text
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        path = scope.get("raw_path") or scope["path"].encode()
        row = {
            "method": scope["method"],
            "path": path.decode("latin-1").partition("?")[0],
            "time": now(),
            "query": json.dumps([[name, _hidden(name, value)] for name, value in query]),
            "headers": json.dumps({key: value for key, value in headers.items() if key not in SECRET_HEADERS}),
            "body": json.dumps(_redacted(body)),
            "authorized": int(user_id is not None),
            "user_id": user_id,
        }
        entry_id = self._store.insert("requests", row)
        if entry_id % 1000 == 0:
            self._store.execute("DELETE FROM requests WHERE id <= ?", entry_id - KEPT)
        return Entry(self._store, entry_id, f"{row['method']} {row['path']}", echo=self._echo)

    def find(self, method: str | None = None, path: str | None = None) -> list[Row]:
        """Return entries, oldest first.

        :param method: only this method.
        :param path: only paths that match this glob.
        """
        rows = self._store.find("requests", method=method)
        return [_readable(row) for row in rows if path is None or fnmatch.fnmatchcase(row["path"], path)]

    def clear(self) -> None:
        """Delete all entries."""
        self._store.execute("DELETE FROM requests")


class Entry:
    """The entry of one request, completed when its response ends."""

    def __init__(self, store: Store, entry_id: int, line: str, *, echo: bool) -> None:
        self._store = store
        self._id = entry_id
        self._line = line
        self._echo = echo
        self._began = time.perf_counter()
        self._open = True
        self.status: int | None = None
        self.fault: str | None = None

    def finish(self) -> None:
        """Store the response's status. Only the first call counts."""
        if not self._open:
            return
        self._open = False
        seconds = round(time.perf_counter() - self._began, 6)
        self._store.execute(
            "UPDATE requests SET status = ?, fault = ?, seconds = ? WHERE id = ?",
            self.status,
            self.fault,
            seconds,
            self._id,
        )
        if self._echo:
            fault = f" fault={self.fault}" if self.fault else ""
            logger.info("%s -> %s in %.3f s%s", self._line, self.status or "no response", seconds, fault)


def _readable(row: Row) -> Row:
    for column in ("query", "headers", "body"):
        row[column] = json.loads(row[column])
    return row | {"time": iso(row["time"]), "authorized": bool(row["authorized"])}


def _redacted(body: bytes) -> Any:
    if not body:
        return None
    try:
        return _hide(json.loads(body, parse_constant=str))
    except (ValueError, RecursionError):
        # A body that cannot be parsed cannot be searched for secrets either.
        return {"not_json": len(body)}


def _hide(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _hidden(key, _hide(inner)) for key, inner in value.items()}
    return [_hide(item) for item in value] if isinstance(value, list) else value


def _hidden(name: str, value: Any) -> Any:
    return REDACTED if name.lower() in SECRET_FIELDS else value
