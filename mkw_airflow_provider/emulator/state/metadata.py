"""Run SQL statements on the views of a project's meta database, each time on a copy in memory."""

from __future__ import annotations

import re
import sqlite3
import uuid
from typing import Any

from mkw_airflow_provider.emulator.state.state import State
from mkw_airflow_provider.emulator.state.store import Row, now

VIEW = re.compile(r"@INFORMATION_SCHEMA\.(\w+)", re.IGNORECASE)

# What a statement may do: read, and call functions.
ALLOWED = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}

# Virtual machine steps after which a statement is aborted, so that none blocks the server.
MOST_STEPS = 50_000_000

INSTANCES = """
SELECT i.id AS ID, p.name AS PATTERN, f.path AS FOLDER, i.name AS INSTANCE,
       1 - i.upload_disabled AS UPLOAD_ENABLED, 1 - i.insert_disabled AS INSERT_ENABLED,
       1 - i.edit_disabled AS EDIT_ENABLED, 1 - i.build_disabled AS BUILD_ENABLED,
       (SELECT max(build_id) FROM build_instances b WHERE b.instance_id = i.id) AS LATEST_BUILD_ID,
       i.deleted AS DELETED, i.description AS DESCRIPTION
FROM instances i JOIN patterns p ON p.id = i.pattern_id JOIN instance_folders f ON f.id = i.instance_folder_id
WHERE i.project_id = ? ORDER BY i.id
"""

COMMITS = """
SELECT bi.rowid AS ID, p.name AS PATTERN, f.path AS FOLDER, i.name AS INSTANCE, b.id AS BUILD_ID, 'Build' AS TYPE,
       CASE WHEN b.ends <= ? THEN b.outcome ELSE 'BUILDING' END AS STATUS, b.starts AS COMMIT_TIMESTAMP
FROM build_instances bi JOIN builds b ON b.id = bi.build_id JOIN instances i ON i.id = bi.instance_id
JOIN patterns p ON p.id = i.pattern_id JOIN instance_folders f ON f.id = i.instance_folder_id
WHERE b.project_id = ? ORDER BY bi.rowid
"""

# Each instance of a finished build with its state in the finished build before that.
DELIVERIES = """
SELECT * FROM (
    SELECT bi.rowid AS id, p.name AS pattern, f.path AS folder, i.name AS instance, b.id AS build_id, bi.revision,
           lag(b.id) OVER history AS previous_build, lag(bi.revision) OVER history AS previous_revision
    FROM build_instances bi JOIN builds b ON b.id = bi.build_id JOIN instances i ON i.id = bi.instance_id
    JOIN patterns p ON p.id = i.pattern_id JOIN instance_folders f ON f.id = i.instance_folder_id
    WHERE b.project_id = ? AND b.outcome = 'FINISHED' AND b.ends <= ?
    WINDOW history AS (PARTITION BY bi.instance_id ORDER BY b.id)
) WHERE previous_revision IS NULL OR previous_revision <> revision ORDER BY id
"""

# Fields of an instance's metadata; the emulator's instances all have as many.
FIELDS = 8


def query(state: State, project_id: int, user_id: int, statement: str) -> dict[str, Any]:
    """Run one statement and return the result as the API shows it. An SQL error is the status ERROR."""
    result: dict[str, Any] = {
        "id": str(uuid.uuid4()),
        "user_id": user_id,
        "type": f"{(statement.split() or [''])[0].lower()}_statement",
        "sql": statement,
        "stmt_no": 1,
        "start_time": state.server_time(now()),
    }
    views = {"INSTANCES": _instances, "COMMITS": _commits, "DELIVERIES": _deliveries}
    copy = sqlite3.connect(":memory:")
    try:
        for name in {match.upper() for match in VIEW.findall(statement)} & set(views):
            _fill(copy, name, *views[name](state, project_id))
        copy.set_authorizer(lambda action, *_: sqlite3.SQLITE_OK if action in ALLOWED else sqlite3.SQLITE_DENY)
        copy.set_progress_handler(lambda: 1, MOST_STEPS)
        cursor = copy.execute(VIEW.sub(lambda match: f'"{match.group(0).upper()}"', statement))
        names = [column[0] for column in cursor.description or ()]
        rows = [dict(zip(names, map(_to_json, row), strict=True)) for row in cursor]
    except (sqlite3.Error, sqlite3.Warning, ValueError) as error:
        return result | {"status": "ERROR", "message": f"SQL error: {error}", "rows": [], "metadata": []}
    finally:
        copy.close()
    metadata = [{"name": name, "type": _type_of(rows, name)} for name in names]
    return result | {"status": "FINISHED", "rows": rows, "metadata": metadata}


def _fill(copy: sqlite3.Connection, view: str, columns: list[str], rows: list[Row]) -> None:
    table = f'"@INFORMATION_SCHEMA.{view}"'
    copy.execute(f"CREATE TABLE {table} ({', '.join(columns)})")
    marks = ", ".join("?" * len(columns))
    copy.executemany(f"INSERT INTO {table} VALUES ({marks})", [tuple(row[name] for name in columns) for row in rows])  # noqa: S608


def _instances(state: State, project_id: int) -> tuple[list[str], list[Row]]:
    columns = ["ID", "PATTERN", "FOLDER", "INSTANCE", "UPLOAD_ENABLED", "INSERT_ENABLED", "EDIT_ENABLED"]
    columns += ["BUILD_ENABLED", "LATEST_BUILD_ID", "DELETED", "DESCRIPTION"]
    return columns, state.store.all(INSTANCES, project_id)


def _commits(state: State, project_id: int) -> tuple[list[str], list[Row]]:
    rows = state.store.all(COMMITS, now(), project_id)
    for row in rows:
        row["COMMIT_TIMESTAMP"] = state.server_time(row["COMMIT_TIMESTAMP"])
    return ["ID", "PATTERN", "FOLDER", "INSTANCE", "BUILD_ID", "TYPE", "STATUS", "COMMIT_TIMESTAMP"], rows


def _deliveries(state: State, project_id: int) -> tuple[list[str], list[Row]]:
    """Return a row for each instance that differs from its previous build; unchanged instances have none."""
    columns = ["ID", "PATTERN", "FOLDER", "INSTANCE", "BUILD_ID", "COMPARE_TO_BUILD_ID", "MODE"]
    columns += ["FIELD_COUNT", "CHANGE_COUNT", "ADDED", "CHANGED", "DELETED"]
    rows = []
    for row in state.store.all(DELIVERIES, project_id, now()):
        created = row["previous_revision"] is None
        changes = FIELDS if created else min(abs(row["revision"] - row["previous_revision"]), FIELDS)
        values = [row["id"], row["pattern"], row["folder"], row["instance"], row["build_id"], row["previous_build"]]
        values += ["CREATION" if created else "INST_DELTA", FIELDS, changes]
        values += [changes, 0, 0] if created else [0, changes, 0]
        rows.append(dict(zip(columns, values, strict=True)))
    return columns, rows


def _to_json(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else value


def _type_of(rows: list[Row], name: str) -> str:
    value = next((row[name] for row in rows if row[name] is not None), "")
    return "INTEGER" if isinstance(value, int) else "DOUBLE" if isinstance(value, float) else "STRING"
