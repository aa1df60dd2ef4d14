"""Facts about the fields of records: which are sent, and with what values. All of them only read."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from typing import Any

from mkw_airflow_provider.client.api import agents, instances, patterns, projects, releases
from mkw_airflow_provider.client.api.build_deployments import BuildDeployment
from mkw_airflow_provider.client.api.builds import Build
from mkw_airflow_provider.client.api.deployments import Deployment
from mkw_airflow_provider.client.api.downloads import Download
from mkw_airflow_provider.client.api.instance_folders import InstanceFolder
from mkw_airflow_provider.client.request import MAX_OBJECT_BODY
from mkw_airflow_provider.safe_values import safe_value
from tests.live.account import Account
from tests.live.findings import Finding, NotCheckedError, expect, fact, green, red, tolerated

#: Documented as filters only.
INSTANCE_FLAGS = {"checked_out", "checked_out_by_user_id", "upload_disabled", "insert_disabled", "edit_disabled"}
FOLDER_FLAGS = {"upload_disabled", "insert_disabled", "edit_disabled"}
BUILD_FLAGS = ("history_commited", "active", "deliveries_calculated", "commit_ind", "deleted")


def _check_fields(
    rows: Iterable[Any], kind: type[Any], *, more: Iterable[str] = (), less: Iterable[str] = ()
) -> Finding:
    """Compare the fields of records with the documented ones, which the client's class declares.

    :param more: documented fields that the client does not need.
    :param less: fields that the client declares for another resource.
    """
    expected = ({item.name for item in dataclasses.fields(kind)} - {"raw", *less}) | set(more)
    rows = list(rows)
    if not rows:
        raise NotCheckedError("the list is empty")
    missing = sorted({name for row in rows for name in expected - set(row)})
    extra = sorted({name for row in rows for name in set(row) - expected})
    parts = [f"missing: {', '.join(missing)}" if missing else "", f"more: {', '.join(extra)}" if extra else ""]
    seen = "; ".join(filter(None, parts)) or f"all, in {len(rows)} records"
    return expect(not missing and not extra, seen, "missing fields are read as None, others are kept in `raw`")


@fact()
def fields_of_projects(account: Account) -> Finding:
    """§2.7, 5.6 Fields of projects: the documented ones, each sent."""
    return _check_fields(account.rows("/projects"), projects.Project)


@fact()
def fields_of_patterns(account: Account) -> Finding:
    """§2.7, 5.6 Fields of patterns: the documented ones, each sent."""
    return _check_fields(account.rows("/patterns"), patterns.Pattern)


@fact()
def fields_of_folders(account: Account) -> Finding:
    """§2.8, 5.6 Fields of instance folders: the documented ones, each sent."""
    rows = account.rows("/instance_folders", project_id=account.project_id)
    return _check_fields(rows, InstanceFolder, more=FOLDER_FLAGS)


@fact()
def fields_of_instances(account: Account) -> Finding:
    """§2.8, 5.6 Fields of instances: the documented ones and a flag for each filter."""
    rows = account.rows("/instances", project_id=account.project_id)
    return _check_fields(rows, instances.Instance, more=INSTANCE_FLAGS)


@fact()
def fields_of_deployments(account: Account) -> Finding:
    """§2.3, 5.6 Fields of deployments: the documented ones, each sent."""
    return _check_fields(account.rows("/deployments"), Deployment)


@fact()
def fields_of_releases(account: Account) -> Finding:
    """§2.6, 5.6 Fields of releases: the documented ones, each sent."""
    return _check_fields(account.rows("/releases"), releases.Release)


@fact()
def fields_of_release_groups(account: Account) -> Finding:
    """§2.6, 5.6 Fields of release groups: id, name and description."""
    return _check_fields(account.rows("/release_groups"), releases.ReleaseGroup)


@fact()
def release_groups_by_name(account: Account) -> Finding:
    """§2.6, 5.6 Filter name of release groups: returns the group of that name."""
    groups = account.rows("/release_groups")
    if not groups:
        raise NotCheckedError("the list is empty")
    name = groups[0].get("name")
    found = [row.get("name") for row in account.rows("/release_groups", name=name)]
    return expect(found == [name], found, "the client does not use this filter")


@fact()
def fields_of_agents(account: Account) -> Finding:
    """§2.5, 5.6 Fields of agents: the documented ones, each sent."""
    return _check_fields(account.rows("/agents"), agents.Agent)


@fact()
def fields_of_agent_groups(account: Account) -> Finding:
    """§2.5, 5.6 Fields of agent groups: the documented ones, each sent."""
    return _check_fields(account.rows("/agent_groups"), agents.AgentGroup)


@fact()
def fields_of_builds(account: Account) -> Finding:
    """§2.1, 5.11 Fields of builds: the documented ones, null where there is no value."""
    return _check_fields(account.rows("/builds"), Build)


@fact()
def fields_of_downloads(account: Account) -> Finding:
    """§2.2, 5.11 Fields of downloads: the documented ones, null where there is no value."""
    return _check_fields(account.rows("/downloads"), Download, less={"pattern"})


@fact()
def fields_of_build_deployments(account: Account) -> Finding:
    """§2.4, 5.5 Fields of build deployments: the documented ones, so neither status nor message."""
    rows = account.rows("/build_deployments")
    found = _check_fields(rows, BuildDeployment)
    if any("status" in row for row in rows):
        return tolerated(found.seen, "the task logs them, and fails on FAILED")
    return found


@fact()
def flags_of_builds(account: Account) -> Finding:
    """§2.1 Flags of builds: integers."""
    return _check_flags(account.rows("/builds"), BUILD_FLAGS, int)


@fact()
def flags_of_projects(account: Account) -> Finding:
    """§2.7 Flags of projects, as an example of all others: booleans."""
    return _check_flags(account.rows("/projects"), ("deleted", "disabled"), bool)


def _check_flags(rows: Iterable[Any], names: Iterable[str], kind: type[Any]) -> Finding:
    kinds = {type(row[name]) for row in rows for name in names if row.get(name) is not None}
    if not kinds:
        raise NotCheckedError("no record has flags")
    if kinds - {int, bool}:
        seen = ", ".join(sorted(found.__name__ for found in kinds))
        return red(seen, "the flag is read as absent, so selections may contain deleted records")
    return expect(kinds == {kind}, ", ".join(sorted(found.__name__ for found in kinds)), "both are read alike")


@fact()
def values_of_builds(account: Account) -> Finding:
    """§2.1 Values of builds: every text and number can be stored by Airflow and PostgreSQL."""
    rows = account.rows("/builds")
    if not rows:
        raise NotCheckedError("there is no build")
    largest = max(len(json.dumps(row)) for row in rows)
    if largest > MAX_OBJECT_BODY:
        return red(f"a build of {largest} bytes", f"a response of more than {MAX_OBJECT_BODY} bytes is refused")
    odd = sorted({name for row in rows for name, value in row.items() if repr(safe_value(value)) != repr(value)})
    control = sorted({name for row in rows for name, value in row.items() if _is_unprintable(value)})
    if odd or control:
        return tolerated(
            f"odd values in {', '.join(sorted({*odd, *control}))}", "they are replaced before Airflow gets them"
        )
    return green(f"plain, in {len(rows)} builds of at most {largest} bytes")


def _is_unprintable(value: Any) -> bool:
    return isinstance(value, str) and not all(letter.isprintable() or letter == "\n" for letter in value)
