"""From a selector to the ids of instances, by a few requests for lists, and the names nearest to a wrong one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from mkw_airflow_provider.client.api.instance_folders import InstanceFolder, find_instance_folders
from mkw_airflow_provider.client.api.instances import Instance, find_instances
from mkw_airflow_provider.client.api.patterns import Pattern, find_patterns
from mkw_airflow_provider.client.flows.nearest import describe_nearest
from mkw_airflow_provider.client.session import ApiSession, Flow
from mkw_airflow_provider.client.text import foreign_text, quote_value
from mkw_airflow_provider.exceptions import SelectionError
from mkw_airflow_provider.selection import (
    MAX_EXCLUDED_NAMES,
    Excluded,
    InstanceSelector,
    Selection,
    is_glob,
    matches_any,
)

#: Missing instances that an error names.
MAX_MISSING_NAMES = 20


@dataclass(frozen=True)
class _Folder:
    path: str
    is_deleted: bool
    is_disabled: bool


_ROOT = _Folder("/", is_deleted=False, is_disabled=False)
#: The list of folders may leave out deleted ones, or one that cannot be read.
_UNLISTED = _Folder("/?", is_deleted=False, is_disabled=False)


def select(
    session: ApiSession, selector: InstanceSelector, *, project: str | None = None, project_id: int | None = None
) -> Flow[Selection]:
    """Find the instances of a project that match a selector: one request per pattern, never one per instance.

    :return: the selection, also if it is empty.
    :raises SelectionError: if more than ``max_instances`` match, or a pattern or folder without a glob does not exist.
    """
    where: dict[str, Any] = {"project": project, "project_id": project_id}
    patterns: list[Pattern] = yield from session.request(find_patterns())
    names = {pattern.id: pattern.name or f"pattern {pattern.id}" for pattern in patterns}
    _check_exist("pattern", selector.globs("pattern"), names.values())
    folders: list[InstanceFolder] = yield from session.request(find_instance_folders(**where))
    paths = _resolve(folders)
    _check_exist("folder", selector.globs("folder"), ["/", *(folder.path for folder in paths.values())])
    selected: dict[int, str] = {}
    excluded: list[Excluded] = []
    existing: set[str] = set()
    for pattern_id in _pattern_ids(selector, names):
        instances: list[Instance] = yield from session.request(find_instances(**where, pattern_id=pattern_id))
        for instance in instances:
            pattern = names.get(instance.pattern_id or -1, f"pattern {instance.pattern_id}")
            folder = _ROOT if instance.instance_folder_id is None else paths.get(instance.instance_folder_id, _UNLISTED)
            name = instance.name or ""
            existing.add(name)
            if not selector.matches(pattern, folder.path, name, instance.labels):
                continue
            reason = _reason_to_exclude(selector, instance, pattern, folder)
            if reason is None:
                selected[instance.id] = pattern
            else:
                excluded.append(Excluded(foreign_text(_full_name(pattern, folder.path, name)), reason))
    for text in islice(_names_without_instance(selector, existing), MAX_MISSING_NAMES):
        session.log.warning("%s", text)
    if len(selected) > selector.max_instances:
        raise SelectionError(
            f"{len(selected)} instances match the selector ({selector}), more than `max_instances` "
            f"({selector.max_instances}). Nothing was sent; narrow the selector or raise the limit"
        )
    counts = {foreign_text(pattern): count for pattern, count in sorted(Counter(selected.values()).items())}
    return Selection(tuple(sorted(selected)), counts, tuple(sorted(excluded, key=lambda entry: entry.name)))


def describe_selection(selection: Selection) -> str:
    """Return a selection as one line for the log."""
    count = len(selection.ids)
    by_pattern = ", ".join(f"{pattern}: {number}" for pattern, number in selection.by_pattern.items())
    return f"Selected {count} instance{'' if count == 1 else 's'}{f' ({by_pattern})' if by_pattern else ''}."


def describe_excluded(selection: Selection) -> list[str]:
    """Return one line for each reason for which matching instances are left out, with at most 20 names."""
    lines = []
    for reason, count in selection.excluded_by_reason().items():
        names = [entry.name for entry in selection.excluded if entry.reason == reason]
        shown = foreign_text(", ".join(names[:MAX_EXCLUDED_NAMES]))
        more = f" and {count - MAX_EXCLUDED_NAMES} more" if count > MAX_EXCLUDED_NAMES else ""
        lines.append(f"Left out {count} {reason} instance{'' if count == 1 else 's'}: {shown}{more}.")
    return lines


def find_missing(
    session: ApiSession,
    instances: Sequence[Mapping[str, Any]],
    *,
    project: str | None = None,
    project_id: int | None = None,
) -> Flow[list[str]]:
    """Find out which instances of a hand-written list do not exist, because the server only says "not found".

    :return: one text per missing instance, with the nearest existing names; empty if all exist.
    """
    where: dict[str, Any] = {"project": project, "project_id": project_id}
    patterns: list[Pattern] = yield from session.request(find_patterns())
    folders: list[InstanceFolder] = yield from session.request(find_instance_folders(**where))
    existing: list[Instance] = yield from session.request(find_instances(**where))
    names = {pattern.id: pattern.name or "" for pattern in patterns}
    paths = {number: folder.path for number, folder in _resolve(folders).items()}
    ids = {instance.id for instance in existing if not instance.deleted}
    known = {
        _full_name(names.get(i.pattern_id or -1, ""), paths.get(i.instance_folder_id or -1, "/"), i.name or "")
        for i in existing
        if not i.deleted
    }
    missing = []
    for instance in instances:
        if "id" in instance:
            if instance["id"] not in ids:
                missing.append(f"id {instance['id']}")
            continue
        wanted = _full_name(instance["pattern"], instance["folder"], instance["name"])
        if wanted in known:
            continue
        # A folder without its leading slash is a common mistake.
        nearby = _full_name(instance["pattern"], f"/{instance['folder'].strip('/')}", instance["name"])
        # The rest is only counted, and among 10,000 names a search takes a second.
        nearest = describe_nearest(nearby, known) if len(missing) < MAX_MISSING_NAMES else ""
        missing.append(f"{_shown(wanted)}{nearest}")
    return missing


def describe_missing(missing: Sequence[str]) -> str:
    """Return the missing instances of :func:`find_missing` as one sentence."""
    more = f"; and {len(missing) - MAX_MISSING_NAMES} more" if len(missing) > MAX_MISSING_NAMES else ""
    return f"these instances do not exist: {'; '.join(missing[:MAX_MISSING_NAMES])}{more}"


def _pattern_ids(selector: InstanceSelector, names: Mapping[int, str]) -> Iterable[int | None]:
    """Yield the pattern ids to list instances of; None once for all patterns together."""
    globs = selector.globs("pattern")
    if "*" in globs:
        return [None]
    return sorted(number for number, name in names.items() if matches_any(name, globs))


def _resolve(folders: Iterable[InstanceFolder]) -> dict[int, _Folder]:
    """Return each folder with what it inherits from the folders above it."""
    by_id = {folder.id: folder for folder in folders}
    resolved: dict[int, _Folder] = {}
    for folder in by_id.values():
        above, seen = folder, set()
        is_deleted = is_disabled = False
        # A list that names a folder as its own ancestor must not end in an endless loop.
        while above is not None and above.id not in seen:
            seen.add(above.id)
            is_deleted = is_deleted or bool(above.deleted)
            is_disabled = is_disabled or bool(above.build_disabled)
            above = by_id.get(above.parent_folder_id or -1)  # type: ignore[assignment]
        path = folder.path or f"/{folder.name or folder.id}"
        resolved[folder.id] = _Folder(path, is_deleted, is_disabled)
    return resolved


def _reason_to_exclude(selector: InstanceSelector, instance: Instance, pattern: str, folder: _Folder) -> str | None:
    if instance.deleted or folder.is_deleted:
        return "deleted"
    if folder is _UNLISTED:
        return "orphaned"
    if any(other.matches(pattern, folder.path, instance.name or "", instance.labels) for other in selector.exclude):
        return "excluded"
    if not selector.include_disabled and (instance.build_disabled or folder.is_disabled):
        return "disabled"
    if not selector.include_invalid and (instance.invalid or (instance.errors or 0) > 0):
        return "invalid"
    return None


def _check_exist(kind: str, globs: Iterable[str], existing: Iterable[str]) -> None:
    """Check that each name without a wildcard exists: a typing error must not silently select less.

    :raises SelectionError: naming the wrong name and the nearest ones.
    """
    known = set(existing)
    for glob in globs:
        if not is_glob(glob) and glob not in known:
            raise SelectionError(
                f"the selector names the {kind} {glob!r}, which does not exist{describe_nearest(glob, known)}"
            )


def _names_without_instance(selector: InstanceSelector, existing: set[str]) -> Iterable[str]:
    """Yield a sentence for each name without a wildcard that no instance has: it may be a typing error."""
    for part, selectors in (("name", [selector]), ("exclude", selector.exclude)):
        for name in (name for one in selectors for name in one.globs("name")):
            if not is_glob(name) and name not in existing:
                nearest = describe_nearest(name, existing)
                yield f"The selector's `{part}` names the instance {name!r}, which does not exist{nearest}."


def _full_name(pattern: str, folder: str, name: str) -> str:
    return f"{pattern}:{folder.rstrip('/')}/{name}"


def _shown(text: str) -> str:
    """Return a name as others wrote it, fit for a log; in quotes where that is not the whole name."""
    shown = foreign_text(text)
    return shown if shown == text else quote_value(text, 500)
