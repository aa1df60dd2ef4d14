"""Builds: how they start, progress with the clock, and are rendered."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from mkw_airflow_provider.emulator.state import build_deployments, errors, lookups, seed
from mkw_airflow_provider.emulator.state.errors import ApiError
from mkw_airflow_provider.emulator.state.state import State
from mkw_airflow_provider.emulator.state.store import Row, now

ENDINGS = ("FINISHED", "FAILED", "CANCELED")

# The documented example of a finished build has this message.
LAST_MESSAGE = "calculating deliveries ..."


@dataclass(frozen=True)
class BuildRequest:
    """A request for a new build: existing records, with permissions checked."""

    user: Row
    project_id: int
    instances: list[Row]
    releases: dict[int, Row] = field(default_factory=dict)
    description: str | None = None
    wait: bool = False
    restore: bool = False


def start(state: State, request: BuildRequest) -> tuple[Row, list[str]]:
    """Start a build: its end and outcome are decided here, its status then follows the clock.

    :return: the build's row and the warnings.
    :raises ApiError: 400 for a closed release.
    """
    store, starts = state.store, now()
    pattern_ids = sorted({row["pattern_id"] for row in request.instances})
    release_ids, warnings = _choose_releases(state, pattern_ids, request.releases)
    seconds = max(_seconds(state, row) for row in request.instances)
    broken = next((row for row in request.instances if row["outcome"] != "FINISHED"), None)
    build: Row = {
        "customer_id": request.user["customer_id"],
        "user_id": request.user["id"],
        "project_id": request.project_id,
        "starts": starts,
        "ends": starts + int(seconds * 1000),
        "outcome": broken["outcome"] if broken else "FINISHED",
        "message": _end_message(broken),
        "description": _cut(request.description, state.switches.description_limit),
        "version": _next_version(state, request.project_id),
        "wait": int(request.wait),
        "restore": int(request.restore),
        "patterns": json.dumps(pattern_ids),
        "releases": json.dumps(release_ids),
        "instance_ids": json.dumps([row["id"] for row in request.instances]),
        "instance_names": json.dumps([row["name"] for row in request.instances]),
    }
    with store.transaction():
        store.execute(
            "UPDATE instances SET deleted = 0, version = version + 1, latest_commit_id = latest_commit_id + 1 "
            "WHERE id IN (SELECT value FROM json_each(?))",
            build["instance_ids"],
        )
        build["id"] = store.insert("builds", build)
        built = ((build["id"], row["id"], row["revision"]) for row in request.instances)
        store.insert_all("build_instances", ("build_id", "instance_id", "revision"), built)
        for pattern_id in pattern_ids:
            pattern = lookups.by_id(state, "patterns", pattern_id)
            name = f"{pattern['name']}_{_file_stamp(state.server_time(starts))}.zip"
            download = {"build_id": build["id"], "pattern_id": pattern_id, "name": name, "key": secrets.token_hex(16)}
            store.insert("downloads", download)
            if state.switches.automatic_deployments:
                build_deployments.schedule(state, build, pattern_id)
    return build | {"progress": None}, warnings


def end(state: State, row: Row, status: str, message: str | None) -> None:
    """End a running build as a person does in the web application.

    :param status: FINISHED, FAILED or CANCELED.
    :param message: the build's last message, or None for the default.
    """
    defaults = {"FINISHED": LAST_MESSAGE, "FAILED": "Build failed", "CANCELED": "Build canceled by user demo"}
    moment = now()
    progress = 100 if status == "FINISHED" else min(int(100 * elapsed_share(row, moment)), 99)
    state.store.execute(
        "UPDATE builds SET outcome = ?, message = ?, ends = ?, progress = ? WHERE id = ?",
        status,
        defaults[status] if message is None else message,
        moment,
        progress,
        row["id"],
    )
    build_deployments.start_early(state, row["id"], moment)
    state.builds_changed()


async def wait_for_end(state: State, build_id: int) -> Row:
    """Return a build's row when it has ended.

    :raises ApiError: 404 if it is deleted meanwhile.
    """
    while True:
        row = lookups.by_id(state, "builds", build_id)
        left = (row["ends"] - now()) / 1000
        if left <= 0:
            return row
        await state.wait_for_change(left)


def status(row: Row, moment: int | None = None) -> str:
    """Return BUILDING until the build's end, its outcome from then on."""
    return str(row["outcome"]) if (now() if moment is None else moment) >= row["ends"] else "BUILDING"


def render(state: State, row: Row) -> dict[str, Any]:
    """Return a build with all documented fields."""
    moment = now()
    current = status(row, moment)
    ended, finished = current != "BUILDING", current == "FINISHED"
    rendered: dict[str, Any] = {
        "id": row["id"],
        "customer_id": row["customer_id"],
        "user_id": row["user_id"],
        "project_id": row["project_id"],
        "progress": progress(row, moment, state.switches.progress),
        "status": current,
        "message": row["message"] if ended else _message(row, moment),
        "build_start": state.timestamp(row["starts"]),
        "build_end": state.timestamp(row["ends"]) if ended else None,
        "created_at": state.timestamp(row["starts"]),
        "updated_at": state.timestamp(min(moment, row["ends"])),
        "history_commited": int(finished),
        "version": row["version"],
        "active": 1,
        "mts": state.server_time(row["starts"]),
        "name": None,
        "deliveries_calculated": int(finished),
        "description": row["description"],
        "commit_ind": 0,
        "deleted": 0,
        "instances": len(json.loads(row["instance_ids"])),
        "patterns": json.loads(row["patterns"]),
        "releases": json.loads(row["releases"]),
        "downloads": _downloads(state, row["id"]) if finished else [],
    }
    if state.switches.progress == "absent":
        del rendered["progress"]
    return rendered


def _downloads(state: State, build_id: int) -> list[Row]:
    return state.store.all(
        "SELECT downloads.id, patterns.name AS pattern, pattern_id, file_id, downloads.name "
        "FROM downloads JOIN patterns ON patterns.id = pattern_id WHERE build_id = ? ORDER BY downloads.id",
        build_id,
    )


def _choose_releases(state: State, pattern_ids: list[int], named: dict[int, Row]) -> tuple[list[int], list[str]]:
    chosen, warnings = dict(named), []
    for pattern_id in pattern_ids:
        group_id = lookups.by_id(state, "patterns", pattern_id)["release_group_id"]
        if group_id not in chosen:
            chosen[group_id] = state.store.find("releases", group_id=group_id, name=seed.DEFAULT_RELEASE)[0]
            group = lookups.by_id(state, "release_groups", group_id)
            warnings.append(errors.default_release(group["name"], chosen[group_id]["name"]))
    for release in chosen.values():
        if release["closed"] and state.switches.closed_release == "reject":
            raise ApiError(400, errors.closed_release(release["name"]))
    return sorted(release["id"] for release in chosen.values()), warnings


def _cut(description: str | None, limit: int) -> str | None:
    return description[:limit] if description and limit else description


def _next_version(state: State, project_id: int) -> int:
    latest = state.store.one("SELECT max(version) AS version FROM builds WHERE project_id = ?", project_id)
    return int(latest["version"] or 0) + 1 if latest else 1


def _seconds(state: State, instance: Row) -> float:
    own = instance["build_seconds"]
    return state.switches.build_seconds if own is None else float(own)


def _end_message(broken: Row | None) -> str:
    if broken is None:
        return LAST_MESSAGE
    if broken["outcome"] == "CANCELED":
        return "Build canceled by user demo"
    return f"Instance {broken['name']}: source object SRC_{broken['name']} does not exist"


def _file_stamp(milliseconds: int) -> str:
    """Return the time as in the documented ``CORE_DV_HLS_2026-4-2_10_14.zip``: month and day unpadded, in UTC."""
    moment = datetime.fromtimestamp(milliseconds / 1000, timezone.utc)
    return f"{moment.year}-{moment.month}-{moment.day}_{moment:%H_%M}"


def elapsed_share(row: Row, moment: int) -> float:
    """Return the elapsed share of a build's duration, 0 to 1."""
    planned = row["ends"] - row["starts"]
    return 1.0 if planned <= 0 else min(max((moment - row["starts"]) / planned, 0.0), 1.0)


def progress(row: Row, moment: int, shape: str) -> int:
    """Return a build's progress, 0 to 100.

    :param moment: when, in milliseconds since the epoch.
    :param shape: the switch ``progress``.
    """
    current = status(row, moment)
    if current == "FINISHED":
        return 100
    if row["progress"] is not None:
        return int(row["progress"])
    done = elapsed_share(row, moment)
    if shape == "uneven":
        # Fast, then a long pause, then a jump: as when one large instance is among small ones.
        done = done * 3 if done < 0.1 else 0.3 if done < 0.7 else 0.85 if done < 0.9 else 0.97
    elif shape == "stuck":
        done = min(done, 0.42)
    return min(int(100 * done), 99)


def _message(row: Row, moment: int) -> str:
    names = json.loads(row["instance_names"])
    position = min(int(elapsed_share(row, moment) * len(names)), len(names) - 1)
    return f"building {names[position]} ({position + 1} of {len(names)}) ..."
