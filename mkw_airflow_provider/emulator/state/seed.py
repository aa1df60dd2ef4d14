"""The default seed: users, projects, patterns, releases, agents, deployments. All fictitious."""

from __future__ import annotations

import secrets

from mkw_airflow_provider.emulator.state.store import Store
from mkw_airflow_provider.emulator.state.users import USERS

CUSTOMER_ID = 1


PROJECTS = {402: "DEMO_PROJECT", 403: "SALES_DWH", 404: "FINANCE_DWH", 405: "HR_DWH"}

# id: name, type, description
PATTERNS = {
    808: ("CORE_DV_HLS", "IICS", "Data Vault hubs, links and their satellites"),
    809: ("CORE_DV_SAT", "SNOWFLAKE", "Data Vault satellites on their own"),
    810: ("STAGE_LOAD", "SNOWFLAKE", "Staging tables as delivered by the source"),
    811: ("MART_DIM", "SYNAPSE", "Dimensions of the data marts"),
}

# pattern id: folder path: instance names
INSTANCES: dict[int, dict[str, tuple[str, ...]]] = {
    808: {
        "/BUSINESS_VAULT": ("AIRPLANE", "AIRPORT", "FLIGHT", "BROKEN_VIEW", "OLD_ROUTE"),
        "/BUSINESS_VAULT/CRM": ("CUSTOMER", "ORDER", "CONTACT"),
    },
    809: {"/BUSINESS_VAULT": ("AIRPLANE_DETAILS", "AIRPORT_DETAILS"), "/BUSINESS_VAULT/CRM": ("CUSTOMER_DETAILS",)},
    810: {"/STAGING": ("STG_AIRPLANE", "STG_AIRPORT"), "/STAGING/ERP": ("STG_CUSTOMER", "STG_ORDER")},
    811: {"/MART": ("DIM_AIRPLANE", "DIM_AIRPORT", "DIM_CUSTOMER")},
}
DELETED_INSTANCES = {"OLD_ROUTE"}
FAILING_INSTANCES = {"BROKEN_VIEW"}

# id: name, closed, previous release
RELEASES = {19: ("R0", 1, None), 20: ("Default Release", 0, None), 21: ("R1", 0, 19)}
DEFAULT_RELEASE = "Default Release"

DEPLOYMENTS = ("DEPLOY_TO_DEV", "DEPLOY_TO_TEST", "DEPLOY_TO_PROD")
AUTOMATIC_DEPLOYMENT = "DEPLOY_TO_DEV"

# The first build and download have the ids of the documented example.
FIRST_IDS = {"builds": 5139, "downloads": 5442}


def load(store: Store) -> None:
    """Fill an empty database."""
    with store.transaction():
        if not store.one("SELECT 1 FROM settings"):
            store.insert("settings", {"name": "token_secret", "value": secrets.token_hex(32)})
        for table, first in FIRST_IDS.items():
            store.insert("sqlite_sequence", {"name": table, "seq": first - 1})
        _load_releases(store)
        _load_patterns(store)
        _load_agents(store)
        for project_id, name in PROJECTS.items():
            store.insert("projects", {"id": project_id, "name": name, "deleted": 0, "disabled": 0})
            _load_instances(store, project_id)
        _load_users(store)


def _load_users(store: Store) -> None:
    for user in USERS:
        store.insert(
            "users",
            {
                "id": user.id,
                "customer_id": CUSTOMER_ID,
                "name": user.name,
                "email": user.email,
                "password": user.password,
            },
        )
        for project_id in user.projects:
            membership = {"user_id": user.id, "project_id": project_id, "write_builds": int(user.write_builds)}
            store.insert("memberships", membership)


def _load_releases(store: Store) -> None:
    store.insert("release_groups", {"id": 5, "name": "DWH_GROUP", "description": "All layers of the warehouse"})
    for release_id, (name, closed, previous) in RELEASES.items():
        store.insert(
            "releases",
            {
                "id": release_id,
                "group_id": 5,
                "name": name,
                "description": None,
                "start_date": "2026-01-01T00:00:00.000Z",
                "end_date": "2026-03-31T22:00:00.000Z" if closed else None,
                "closed": closed,
                "deleted": 0,
                "hotfix_of_id": None,
                "prev_release_id": previous,
            },
        )


def _load_patterns(store: Store) -> None:
    deployment_id = 0
    for pattern_id, (name, kind, description) in PATTERNS.items():
        store.insert(
            "patterns",
            {
                "id": pattern_id,
                "name": name,
                "description": description,
                "type": kind,
                "vers_no": "1.4.0",
                "status": "FINISHED",
                "active": 1,
                "deleted": 0,
                "disabled": 0,
                "release_group_id": 5,
                "upload_id": 551 + pattern_id,
            },
        )
        for deployment in DEPLOYMENTS:
            deployment_id += 1
            store.insert("deployments", {"id": deployment_id, "pattern_id": pattern_id, "name": deployment})


def _load_agents(store: Store) -> None:
    store.insert("agent_groups", {"id": 1, "name": "DEV_AGENTS", "description": None})
    store.insert(
        "agents",
        {
            "id": 1,
            "agent_id": "de058784-c9cc-448d-8e64-bfda70b314cc",
            "name": "dev_md_agent",
            "deleted": 0,
            "disabled": 0,
            "online": 1,
            "group_id": 1,
        },
    )


def _load_instances(store: Store, project_id: int) -> None:
    instance_id = (project_id - min(PROJECTS) + 1) * 1000
    for pattern_id, folders in INSTANCES.items():
        folder_ids: dict[str, int] = {}
        for path in _with_parents(folders):
            parent, _, name = path.rpartition("/")
            folder_ids[path] = store.insert(
                "instance_folders",
                {
                    "project_id": project_id,
                    "pattern_id": pattern_id,
                    "parent_folder_id": folder_ids.get(parent),
                    "name": name,
                    "path": path,
                },
            )
            for instance in folders.get(path, ()):
                instance_id += 1
                store.insert(
                    "instances",
                    {
                        "id": instance_id,
                        "customer_id": CUSTOMER_ID,
                        "name": instance,
                        "project_id": project_id,
                        "pattern_id": pattern_id,
                        "instance_folder_id": folder_ids[path],
                        "release_id": 20,
                        "identity_id": instance_id,
                        "user_id": 1,
                        "latest_commit_id": instance_id,
                        "deleted": int(instance in DELETED_INSTANCES),
                        "outcome": "FAILED" if instance in FAILING_INSTANCES else "FINISHED",
                    },
                )


def _with_parents(folders: dict[str, tuple[str, ...]]) -> list[str]:
    paths = set(folders)
    for path in folders:
        while path := path.rpartition("/")[0]:
            paths.add(path)
    return sorted(paths)
