"""The database: one SQLite connection, used only by the server's event loop."""

from __future__ import annotations

import sqlite3
import time
import weakref
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from importlib.resources import files
from typing import Any

Row = dict[str, Any]

# Increased whenever schema.sql changes, so that a file of another version is refused rather than misread.
SCHEMA_VERSION = 3

# How long to wait for the lock of a process that is just ending.
LOCK_SECONDS = 2.0


def now() -> int:
    """Return milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def iso(milliseconds: int) -> str:
    """Return a time as the API writes it: ISO 8601, milliseconds, ``Z``."""
    moment = datetime.fromtimestamp(milliseconds / 1000, timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Store:
    """A small layer over SQLite: rows are dicts.

    :param database: a file's path, or ``:memory:``.
    :raises ValueError: if the file is not a database, is in use, or was written by another version.
    """

    def __init__(self, database: str) -> None:
        if not database.strip():
            raise ValueError("The name of the database file is empty.")
        try:
            self._connection = sqlite3.connect(
                database, timeout=LOCK_SECONDS, check_same_thread=False, isolation_level=None
            )
            weakref.finalize(self, self._connection.close)
            self._connection.row_factory = sqlite3.Row
            self._open(database)
        except sqlite3.Error as error:
            if "locked" in str(error):
                raise ValueError(f"The database {database} is in use by another emulator.") from None
            raise ValueError(f"{database} cannot be used as a database: {error}.") from None

    def _open(self, database: str) -> None:
        # Two emulators on one file would overwrite each other's state.
        self._connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        self._connection.execute("BEGIN EXCLUSIVE")
        self._connection.execute("COMMIT")
        version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, SCHEMA_VERSION):
            self._connection.close()
            raise ValueError(f"{database} was written by another version of the emulator. Use another file.")
        # A killed process loses nothing; only a crash of the machine could, which is acceptable for an emulator.
        for pragma in ("journal_mode=WAL", "synchronous=OFF", "foreign_keys=ON", f"user_version={SCHEMA_VERSION}"):
            self._connection.execute(f"PRAGMA {pragma}")
        self._connection.executescript(
            files("mkw_airflow_provider.emulator.state").joinpath("schema.sql").read_text("utf-8")
        )

    def close(self) -> None:
        """Close the connection; a file keeps its rows."""
        self._connection.close()

    def one(self, sql: str, *values: Any) -> Row | None:
        """Return the first row of a query, or None."""
        row = self._connection.execute(sql, values).fetchone()
        return None if row is None else dict(row)

    def all(self, sql: str, *values: Any) -> list[Row]:
        """Return all rows of a query."""
        return [dict(row) for row in self._connection.execute(sql, values)]

    def execute(self, sql: str, *values: Any) -> int:
        """Run a statement and return the number of rows that it changed."""
        return self._connection.execute(sql, values).rowcount

    def insert(self, table: str, row: Mapping[str, Any]) -> int:
        """Insert a row and return its id. Table and column names come from this package, never from a request."""
        columns = ", ".join(row)
        marks = ", ".join("?" * len(row))
        statement = f"INSERT INTO {table} ({columns}) VALUES ({marks})"  # noqa: S608
        return self._connection.execute(statement, tuple(row.values())).lastrowid or 0

    def insert_all(self, table: str, columns: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> None:
        """Insert many rows at the same time."""
        marks = ", ".join("?" * len(columns))
        self._connection.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", rows)  # noqa: S608

    def find(self, table: str, **equal: Any) -> list[Row]:
        """Return rows of a table, sorted by id; columns given as None are not compared."""
        given = {column: value for column, value in equal.items() if value is not None}
        where = " AND ".join(f"{column} = ?" for column in given) or "1"
        return self.all(f"SELECT * FROM {table} WHERE {where} ORDER BY id", *given.values())  # noqa: S608

    def get(self, table: str, record_id: int) -> Row | None:
        """Return one row by its id, or None."""
        return self.one(f"SELECT * FROM {table} WHERE id = ?", record_id)  # noqa: S608

    def clear(self, keep: tuple[str, ...] = ()) -> None:
        """Remove the rows of all tables and restart their ids.

        :param keep: tables that stay as they are.
        """
        tables = self.all("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
        # Tables are emptied in any sequence, so foreign keys cannot be enforced meanwhile.
        self._connection.execute("PRAGMA foreign_keys=OFF")
        with self.transaction():
            for table in tables:
                if table["name"] in keep:
                    continue
                self._connection.execute(f"DELETE FROM {table['name']}")  # noqa: S608
            self._connection.execute("DELETE FROM sqlite_sequence")
        self._connection.execute("PRAGMA foreign_keys=ON")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit all statements of a block, or none of them."""
        self._connection.execute("BEGIN")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")
