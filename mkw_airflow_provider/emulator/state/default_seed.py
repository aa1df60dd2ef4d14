"""The default seed: what an emulator contains unless it is given another one. All fictitious."""

from __future__ import annotations

from typing import Any

PROJECTS = {402: "DEMO_PROJECT", 403: "SALES_DWH", 404: "FINANCE_DWH", 405: "HR_DWH"}

# name: id, type, description
PATTERNS = {
    "CORE_DV_HLS": (808, "IICS", "Data Vault hubs, links and their satellites"),
    "CORE_DV_SAT": (809, "SNOWFLAKE", "Data Vault satellites only"),
    "STAGE_LOAD": (810, "SNOWFLAKE", "Staging tables as delivered by the source"),
    "MART_DIM": (811, "SYNAPSE", "Dimensions of the data marts"),
}

# pattern: folder: instance names
INSTANCES: dict[str, dict[str, tuple[str, ...]]] = {
    "CORE_DV_HLS": {
        "/BUSINESS_VAULT": ("AIRPLANE", "AIRPORT", "FLIGHT", "BROKEN_VIEW", "OLD_ROUTE"),
        "/BUSINESS_VAULT/CRM": ("CUSTOMER", "ORDER", "CONTACT"),
    },
    "CORE_DV_SAT": {
        "/BUSINESS_VAULT": ("AIRPLANE_DETAILS", "AIRPORT_DETAILS"),
        "/BUSINESS_VAULT/CRM": ("CUSTOMER_DETAILS",),
    },
    "STAGE_LOAD": {"/STAGING": ("STG_AIRPLANE", "STG_AIRPORT"), "/STAGING/ERP": ("STG_CUSTOMER", "STG_ORDER")},
    "MART_DIM": {"/MART": ("DIM_AIRPLANE", "DIM_AIRPORT", "DIM_CUSTOMER")},
}
SPECIAL: dict[str, dict[str, Any]] = {"OLD_ROUTE": {"deleted": True}, "BROKEN_VIEW": {"outcome": "FAILED"}}

START, END = "2026-01-01T00:00:00.000Z", "2026-03-31T22:00:00.000Z"


def make_default_seed() -> dict[str, Any]:
    """Return the default seed in the form of a seed file."""
    return {
        "release_groups": [
            {
                "name": "DWH_GROUP",
                "id": 5,
                "description": "All layers of the warehouse",
                "releases": [
                    {
                        "name": "R0",
                        "id": 19,
                        "closed": True,
                        "start_date": START,
                        "end_date": "2026-03-31T22:00:00.000Z",
                    },
                    {"name": "Default Release", "id": 20, "start_date": START},
                    {"name": "R1", "id": 21, "start_date": START, "previous": "R0"},
                ],
            }
        ],
        "agent_groups": [{"name": "DEV_AGENTS", "id": 1}],
        "agents": [
            {
                "name": "dev_md_agent",
                "id": 1,
                "agent_id": "de058784-c9cc-448d-8e64-bfda70b314cc",
                "group": "DEV_AGENTS",
            }
        ],
        "patterns": [
            {"name": name, "id": pattern_id, "type": kind, "description": description}
            for name, (pattern_id, kind, description) in PATTERNS.items()
        ],
        "projects": [
            {"name": name, "id": project_id, "instances": _make_instances((project_id - 401) * 1000)}
            for project_id, name in PROJECTS.items()
        ],
    }


def _make_instances(last_id: int) -> list[dict[str, Any]]:
    instances: list[dict[str, Any]] = []
    for pattern, folders in INSTANCES.items():
        for folder, names in folders.items():
            for name in names:
                instance = {"pattern": pattern, "folder": folder, "name": name, "id": last_id + len(instances) + 1}
                instances.append(instance | SPECIAL.get(name, {}))
    return instances
