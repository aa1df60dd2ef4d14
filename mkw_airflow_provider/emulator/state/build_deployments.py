"""Build deployments: how they start, end with the clock, and are rendered."""

from __future__ import annotations

from typing import Any

from mkw_airflow_provider.emulator.state import lookups
from mkw_airflow_provider.emulator.state.state import State
from mkw_airflow_provider.emulator.state.store import Row, now

# An automatic deployment is visible once its build is finished.
VISIBLE = (
    "(automatic = 0 OR EXISTS (SELECT 1 FROM builds WHERE builds.id = build_id "
    "AND builds.outcome = 'FINISHED' AND builds.ends <= ?))"
)


def start(
    state: State,
    user: Row,
    build_id: int,
    *,
    pattern_id: int,
    deployment_id: int,
    agent_id: int | None = None,
    agent_group_id: int | None = None,
    begins: int | None = None,
) -> Row:
    """Start a build deployment; its end and outcome are decided here.

    :param begins: when an automatic deployment begins, in milliseconds; None for one that was requested now.
    :return: its row.
    """
    starts = now() if begins is None else begins
    row: Row = {
        "build_id": build_id,
        "pattern_id": pattern_id,
        "deployment_id": deployment_id,
        "agent_id": agent_id,
        "agent_group_id": agent_group_id,
        "user_id": user["id"],
        "automatic": int(begins is not None),
        "starts": starts,
        "ends": starts + int(state.switches.deployment_seconds * 1000),
        "outcome": state.switches.deployment_outcome,
    }
    row["id"] = state.store.insert("build_deployments", row)
    return row


def schedule(state: State, build: Row, pattern_id: int) -> None:
    """Schedule the automatic deployment of a pattern for the end of a build."""
    user = {"id": build["user_id"]}
    for deployment in state.store.find("deployments", pattern_id=pattern_id)[:1]:
        start(state, user, build["id"], pattern_id=pattern_id, deployment_id=deployment["id"], begins=build["ends"])


def start_early(state: State, build_id: int, moment: int) -> None:
    """Let the automatic deployments of a build begin now, because a person ended it early."""
    state.store.execute(
        "UPDATE build_deployments SET ends = ends - starts + ?, starts = ? WHERE build_id = ? AND automatic = 1",
        moment,
        moment,
        build_id,
    )


def status(row: Row) -> str:
    """Return DEPLOYING until the end, the outcome from then on."""
    return str(row["outcome"]) if now() >= row["ends"] else "DEPLOYING"


def render(state: State, row: Row) -> dict[str, Any]:
    """Return a build deployment with its documented fields; a switch adds status and message."""
    rendered: dict[str, Any] = {
        "id": row["id"],
        "build_id": row["build_id"],
        "pattern_id": row["pattern_id"],
        "deployment_id": row["deployment_id"],
        "upload_id": lookups.by_id(state, "patterns", row["pattern_id"])["upload_id"],
        **_agents(state, row),
    }
    if state.switches.deployment_status == "present":
        rendered["status"] = status(row)
        # The wording of the only failure that the vendor's pages show.
        rendered["message"] = (
            "Deployment failed: ENOENT: no such file or directory" if rendered["status"] == "FAILED" else None
        )
    return rendered


def _agents(state: State, row: Row) -> dict[str, int | None]:
    kind = state.switches.deployment_agents
    if kind == "missing":
        return {}
    if kind == "null":
        return {"agent_id": None, "agent_group_id": None}
    if kind == "requested":
        return {"agent_id": row["agent_id"], "agent_group_id": row["agent_group_id"]}
    available = state.store.find("agents", group_id=row["agent_group_id"], online=1, deleted=0, disabled=0)
    assigned = row["agent_id"] or next((agent["id"] for agent in available), None)
    return {"agent_id": assigned, "agent_group_id": None}
