"""Load a seed into the database: an empty one completely, a filled one with further records."""

from __future__ import annotations

import json
import secrets
import uuid
from collections.abc import Iterable
from typing import Any

from mkw_airflow_provider.emulator.state.seed_format import FLAGS, SeedError, suggest
from mkw_airflow_provider.emulator.state.store import Store
from mkw_airflow_provider.emulator.state.users import USERS

CUSTOMER_ID = 1

DEFAULT_RELEASE = "Default Release"
DEFAULT_GROUP = "DEFAULT_GROUP"
DEFAULT_DEPLOYMENTS = ("DEPLOY_TO_DEV", "DEPLOY_TO_TEST", "DEPLOY_TO_PROD")

# The first build and download have the ids of the documented example.
FIRST_IDS = {"builds": 5139, "downloads": 5442}

# Where automatic ids start.
FIRST_AUTOMATIC = {"projects": 402, "patterns": 808, "instances": 1001}

Key = tuple[Any, ...]


def load(store: Store, seed: dict[str, Any]) -> None:
    """Fill an empty database.

    :raises SeedError: for an unknown name or a duplicate.
    """
    with store.transaction():
        if not store.one("SELECT 1 FROM settings"):
            store.insert("settings", {"name": "token_secret", "value": secrets.token_hex(32)})
        for table, first in FIRST_IDS.items():
            store.insert("sqlite_sequence", {"name": table, "seq": first - 1})
        for user in USERS:
            row = {"id": user.id, "customer_id": CUSTOMER_ID, "name": user.name, "email": user.email}
            store.insert("users", row | {"password": user.password})
        SeedLoader(store).load(seed)


def add(store: Store, seed: dict[str, Any]) -> dict[str, int]:
    """Add records to a filled database. Projects, patterns and groups that exist may be named again as containers.

    :return: the last new id of each table.
    :raises SeedError: for an unknown name or a duplicate.
    """
    with store.transaction():
        loader = SeedLoader(store)
        loader.load(seed)
        return loader.added


class SeedLoader:
    """Loads one seed.

    :param store: the database; names that it already contains may be referred to.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.added: dict[str, int] = {}
        self._ids: dict[str, set[int]] = {}
        self._next: dict[str, int] = {}
        self._containers: set[tuple[str, str]] = set()
        self._known: dict[str, dict[Key, int]] = {
            table: {tuple(row[column] for column in columns): row["id"] for row in store.find(table)}
            for table, columns in {
                "release_groups": ("name",),
                "releases": ("group_id", "name"),
                "agent_groups": ("name",),
                "agents": ("name",),
                "patterns": ("name",),
                "deployments": ("pattern_id", "name"),
                "projects": ("name",),
                "instance_folders": ("project_id", "pattern_id", "path"),
                "instances": ("instance_folder_id", "name"),
            }.items()
        }

    def load(self, seed: dict[str, Any]) -> None:
        """Insert all records of a seed whose form has been checked."""
        self._reserve_ids(seed)
        for place, group in _items(seed, "release_groups"):
            self._load_release_group(group, place)
        if not self._known["release_groups"] and seed.get("patterns"):
            self._load_release_group({"name": DEFAULT_GROUP}, "release_groups")
        for place, group in _items(seed, "agent_groups"):
            if self._find_container("agent_groups", group, place) is None or set(group) - {"name"}:
                self._insert("agent_groups", (group["name"],), group, place, description=group.get("description"))
        for place, agent in _items(seed, "agents"):
            self._load_agent(agent, place)
        for place, pattern in _items(seed, "patterns"):
            self._load_pattern(pattern, place)
        for place, project in _items(seed, "projects"):
            self._load_project(project, place)

    def _reserve_ids(self, seed: dict[str, Any]) -> None:
        """Check that the ids of a seed are free, so that automatic ids avoid them."""
        tables = {"release_groups": "releases", "agent_groups": "", "agents": "", "patterns": "", "projects": ""}
        for table, inner in tables.items():
            for place, item in _items(seed, table):
                self._reserve(table, item, place)
                for inner_place, release in _items(item, inner, place):
                    self._reserve("releases", release, inner_place)
        for place, project in _items(seed, "projects"):
            for inner_place, folder in _items(project, "folders", place):
                self._reserve("instance_folders", folder, inner_place)
            for inner_place, instance in _items(project, "instances", place):
                self._reserve("instances", instance, inner_place)

    def _reserve(self, table: str, item: dict[str, Any], place: str) -> None:
        if "id" not in item:
            return
        used = self._used_ids(table)
        if item["id"] in used:
            raise SeedError(f"{place}.id", f"the id {item['id']} is used twice in {table}")
        used.add(item["id"])

    def _used_ids(self, table: str) -> set[int]:
        if table not in self._ids:
            self._ids[table] = {row["id"] for row in self._store.all(f"SELECT id FROM {table}")}  # noqa: S608
        return self._ids[table]

    def _choose_id(self, table: str, item: dict[str, Any]) -> int:
        if "id" in item:
            return int(item["id"])
        used = self._used_ids(table)
        candidate = self._next.get(table, FIRST_AUTOMATIC.get(table, 1))
        while candidate in used:
            candidate += 1
        used.add(candidate)
        self._next[table] = candidate + 1
        return candidate

    def _find_container(self, table: str, item: dict[str, Any], place: str) -> int | None:
        """Return the id of a record that this seed names as a container; a seed names each one once."""
        if (table, item["name"]) in self._containers:
            raise SeedError(place, f"duplicate '{item['name']}' in {table}")
        self._containers.add((table, item["name"]))
        return self._known[table].get((item["name"],))

    def _insert(self, table: str, key: Key, item: dict[str, Any], place: str, **values: Any) -> int:
        if key in self._known[table]:
            raise SeedError(place, f"duplicate '{key[-1]}' in {table}")
        record_id = self._choose_id(table, item)
        self._store.insert(table, {"id": record_id, "name": item.get("name"), **values})
        self._known[table][key] = self.added[table] = record_id
        return record_id

    def _find(self, table: str, name: str, place: str) -> int:
        known = self._known[table]
        if (name,) not in known:
            word = table.replace("_", " ").removesuffix("s")
            raise SeedError(place, f"unknown {word} '{name}'{suggest(name, [key[0] for key in known])}")
        return known[(name,)]

    def _load_release_group(self, group: dict[str, Any], place: str) -> None:
        name = (group["name"],)
        group_id = self._find_container("release_groups", group, place)
        if group_id is None or set(group) - {"name", "releases"}:
            group_id = self._insert("release_groups", name, group, place, description=group.get("description"))
        releases = list(_items(group, "releases", place))
        known = {name for group, name in self._known["releases"] if group == group_id}
        if DEFAULT_RELEASE not in known | {release["name"] for _, release in releases}:
            releases += [(place, {"name": DEFAULT_RELEASE})] * (
                (group_id, DEFAULT_RELEASE) not in self._known["releases"]
            )
        for inner_place, release in releases:
            previous = None
            if "previous" in release:
                previous = self._known["releases"].get((group_id, release["previous"]))
                if previous is None:
                    problem = f"unknown release '{release['previous']}', it must come earlier in the same group"
                    raise SeedError(f"{inner_place}.previous", problem)
            self._insert(
                "releases",
                (group_id, release["name"]),
                release,
                inner_place,
                group_id=group_id,
                description=release.get("description"),
                start_date=release.get("start_date"),
                end_date=release.get("end_date"),
                closed=int(release.get("closed", False)),
                deleted=int(release.get("deleted", False)),
                hotfix_of_id=None,
                prev_release_id=previous,
            )

    def _load_agent(self, agent: dict[str, Any], place: str) -> None:
        group = agent.get("group")
        self._insert(
            "agents",
            (agent["name"],),
            agent,
            place,
            agent_id=agent.get("agent_id") or str(uuid.uuid5(uuid.NAMESPACE_DNS, agent["name"])),
            deleted=int(agent.get("deleted", False)),
            disabled=int(agent.get("disabled", False)),
            online=int(agent.get("online", True)),
            group_id=None if group is None else self._find("agent_groups", group, f"{place}.group"),
        )

    def _load_pattern(self, pattern: dict[str, Any], place: str) -> None:
        pattern_id = self._find_container("patterns", pattern, place)
        deployments = pattern.get("deployments", DEFAULT_DEPLOYMENTS)
        if pattern_id is None or set(pattern) - {"name", "deployments"}:
            group = pattern.get("release_group") or next(iter(self._known["release_groups"]))[0]
            pattern_id = self._insert(
                "patterns",
                (pattern["name"],),
                pattern,
                place,
                description=pattern.get("description"),
                type=pattern.get("type", "SNOWFLAKE"),
                vers_no=pattern.get("vers_no", "1.4.0"),
                status="FINISHED",
                active=int(pattern.get("active", True)),
                deleted=int(pattern.get("deleted", False)),
                disabled=int(pattern.get("disabled", False)),
                release_group_id=self._find("release_groups", group, f"{place}.release_group"),
                upload_id=0,
            )
            self._store.execute("UPDATE patterns SET upload_id = 551 + id WHERE id = ?", pattern_id)
        for index, name in enumerate(deployments):
            key = (pattern_id, name)
            self._insert("deployments", key, {"name": name}, f"{place}.deployments[{index}]", pattern_id=pattern_id)

    def _load_project(self, project: dict[str, Any], place: str) -> None:
        project_id = self._find_container("projects", project, place)
        if project_id is None or set(project) - {"name", "folders", "instances"}:
            flags = {flag: int(project.get(flag, False)) for flag in ("deleted", "disabled")}
            project_id = self._insert("projects", (project["name"],), project, place, **flags)
            # The owner may build everywhere, the viewer sees the first project.
            first = not self._store.one("SELECT 1 FROM memberships")
            for user in USERS:
                if user.write_builds or (user.views_first_project and first):
                    row = {"user_id": user.id, "project_id": project_id, "write_builds": int(user.write_builds)}
                    self._store.insert("memberships", row)
        # Parents first: a folder creates the parents that do not exist.
        for inner_place, folder in sorted(
            _items(project, "folders", place), key=lambda pair: pair[1]["path"].count("/")
        ):
            pattern_id = self._find("patterns", folder["pattern"], f"{inner_place}.pattern")
            self._load_folder(project_id, pattern_id, folder["path"], folder, inner_place)
        for inner_place, instance in _items(project, "instances", place):
            self._load_instance(project_id, instance, inner_place)

    def _load_folder(self, project_id: int, pattern_id: int, path: str, folder: dict[str, Any], place: str) -> int:
        parent, _, name = path.rpartition("/")
        flags = {flag: int(folder.get(flag, False)) for flag in FLAGS}
        key = (project_id, pattern_id, path)
        row = {"project_id": project_id, "pattern_id": pattern_id, "path": path, **flags}
        parent_id = self._find_folder(project_id, pattern_id, parent, place) if parent else None
        named = {"name": name} | ({"id": folder["id"]} if "id" in folder else {})
        return self._insert("instance_folders", key, named, place, parent_folder_id=parent_id, **row)

    def _find_folder(self, project_id: int, pattern_id: int, path: str, place: str) -> int:
        """Return the id of a folder; it is created with its parents if it does not exist."""
        known = self._known["instance_folders"].get((project_id, pattern_id, path))
        return self._load_folder(project_id, pattern_id, path, {}, place) if known is None else known

    def _load_instance(self, project_id: int, instance: dict[str, Any], place: str) -> None:
        pattern_id = self._find("patterns", instance["pattern"], f"{place}.pattern")
        folder_id = self._find_folder(project_id, pattern_id, instance["folder"], place)
        flags = {flag: int(instance.get(flag, False)) for flag in (*FLAGS, "invalid", "checked_out")}
        instance_id = self._insert(
            "instances",
            (folder_id, instance["name"]),
            instance,
            place,
            customer_id=CUSTOMER_ID,
            project_id=project_id,
            pattern_id=pattern_id,
            instance_folder_id=folder_id,
            errors=instance.get("errors", 0),
            description=instance.get("description"),
            release_id=self._release_of(pattern_id, instance.get("release", DEFAULT_RELEASE), f"{place}.release"),
            user_id=USERS[0].id,
            checked_out_by_user_id=USERS[0].id if instance.get("checked_out") else None,
            labels=json.dumps(instance.get("labels", [])),
            build_seconds=instance.get("build_seconds"),
            outcome=instance.get("outcome", "FINISHED"),
            **flags,
        )
        self._store.execute(
            "UPDATE instances SET identity_id = id, latest_commit_id = id WHERE id = ?",
            instance_id,
        )

    def _release_of(self, pattern_id: int, name: str, place: str) -> int:
        row = self._store.get("patterns", pattern_id)
        releases = self._known["releases"]
        group_id = row["release_group_id"] if row else 0
        if (group_id, name) not in releases:
            names = [release for group, release in releases if group == group_id]
            raise SeedError(place, f"unknown release '{name}'{suggest(name, names)}")
        return releases[(group_id, name)]


def _items(holder: dict[str, Any], key: str, place: str = "") -> Iterable[tuple[str, dict[str, Any]]]:
    prefix = f"{place}.{key}" if place else key
    return ((f"{prefix}[{index}]", item) for index, item in enumerate(holder.get(key, ())))
