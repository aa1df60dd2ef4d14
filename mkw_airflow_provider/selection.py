"""Which instances to build, by globs on pattern, folder, name and label, instead of a hand-written list."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any, Literal

from mkw_airflow_provider.client.text import quote_value
from mkw_airflow_provider.exceptions import ConfigurationError

__all__ = ["Excluded", "InstanceSelector", "Selection"]

#: Excluded instances that are named; beyond that only their number is given.
MAX_EXCLUDED_NAMES = 20
_GLOB = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class InstanceSelector:
    """Selects the instances of a project, when the task runs.

    All globs are case-sensitive. ``*`` matches within a folder name, ``**`` matches any number of folders. Each of
    ``pattern``, ``folder``, ``name`` and ``label`` takes one glob or several, of which one must match.

    :param pattern: names of patterns.
    :param folder: folder paths: ``/BUSINESS_VAULT`` is that folder alone, ``/BUSINESS_VAULT/**`` also all below it.
    :param name: names of instances.
    :param label: labels, of which the instance must have one; None: whatever its labels.
    :param exclude: selectors of instances to leave out.
    :param include_invalid: also select instances with validation errors.
    :param include_disabled: also select instances for which builds are disabled, there or in a folder above.
    :param if_empty: ``fail`` or ``skip`` the task if no instance is selected.
    :param max_instances: fail before anything is built if more are selected.
    :raises ConfigurationError: if a value has the wrong type.
    """

    pattern: str | Sequence[str] = "*"
    folder: str | Sequence[str] = "/**"
    name: str | Sequence[str] = "*"
    label: str | Sequence[str] | None = None
    exclude: Sequence[InstanceSelector] = ()
    include_invalid: bool = False
    include_disabled: bool = False
    if_empty: Literal["fail", "skip"] = "fail"
    max_instances: int = 10_000

    def __post_init__(self) -> None:
        for name in ("pattern", "folder", "name", "label"):
            value = getattr(self, name)
            if value is None and name == "label":
                continue
            globs = _globs(f"selector `{name}`", value)
            if name == "folder":
                globs = tuple(f"/{glob.strip('/')}" for glob in globs)
            object.__setattr__(self, name, globs[0] if len(globs) == 1 else globs)
        object.__setattr__(self, "exclude", _selectors(self.exclude))
        for name in ("include_invalid", "include_disabled"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigurationError(
                    f"selector `{name}` must be true or false, not {quote_value(getattr(self, name))}"
                )
        if self.if_empty not in ("fail", "skip"):
            raise ConfigurationError(f"selector `if_empty` must be 'fail' or 'skip', not {quote_value(self.if_empty)}")
        if isinstance(self.max_instances, bool) or not isinstance(self.max_instances, int) or self.max_instances < 1:
            raise ConfigurationError(
                f"selector `max_instances` must be at least 1, not {quote_value(self.max_instances)}"
            )

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> InstanceSelector:
        """Make a selector from its dict form, as a template or an XCom carries it.

        :raises ConfigurationError: for an unknown key or a value of the wrong type.
        """
        known = [item.name for item in fields(cls)]
        unknown = [str(key) for key in value if key not in known]
        if unknown:
            raise ConfigurationError(
                f"an instance selector has no {', '.join(map(repr, unknown))}; it has {', '.join(known)}"
            )
        return cls(**value)

    def to_dict(self) -> dict[str, Any]:
        """Return the dict form: JSON, with only the values that differ from the defaults; but never an empty one."""
        result: dict[str, Any] = {}
        for item in fields(self):
            value = getattr(self, item.name)
            if value == item.default:
                continue
            if item.name == "exclude":
                value = [selector.to_dict() for selector in value]
            result[item.name] = list(value) if isinstance(value, tuple) else value
        return result or {"folder": self.folder}

    def globs(self, name: Literal["pattern", "folder", "name", "label"]) -> tuple[str, ...]:
        """Return the globs of one criterion, as a tuple."""
        value = getattr(self, name)
        return (value,) if isinstance(value, str) else tuple(value or ())

    def matches(self, pattern: str, folder: str, name: str, labels: Iterable[str] = ()) -> bool:
        """Whether an instance matches, whatever its state.

        :param folder: path of its folder, ``/`` for the root.
        """
        return (
            matches_any(pattern, self.globs("pattern"))
            and matches_any(name, self.globs("name"))
            and any(_folder_matches(folder, glob) for glob in self.globs("folder"))
            and (self.label is None or any(matches_any(label, self.globs("label")) for label in labels))
        )

    def __str__(self) -> str:
        shown = {name: value for name, value in self.to_dict().items() if name not in ("if_empty", "max_instances")}
        return ", ".join(f"{name} {value!r}" for name, value in shown.items()) or "all instances"


@dataclass(frozen=True)
class Excluded:
    """An instance that matched a selector but is not built.

    :param name: pattern, folder and name, as in ``CORE_DV_HLS:/BUSINESS_VAULT/AIRPLANE``.
    :param reason: ``deleted``, ``disabled``, ``invalid``, ``excluded``, or ``orphaned``: its folder is not listed.
    """

    name: str
    reason: str


@dataclass(frozen=True)
class Selection:
    """What a selector came to.

    :param ids: ids of the selected instances, ascending.
    :param by_pattern: number of selected instances for each pattern name.
    :param excluded: instances that matched but are left out.
    """

    ids: tuple[int, ...] = ()
    by_pattern: Mapping[str, int] = field(default_factory=dict)
    excluded: tuple[Excluded, ...] = ()

    def excluded_by_reason(self) -> dict[str, int]:
        """Return the number of excluded instances for each reason."""
        counts: dict[str, int] = {}
        for entry in self.excluded:
            counts[entry.reason] = counts.get(entry.reason, 0) + 1
        return dict(sorted(counts.items()))

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form, with at most 20 excluded instances by name."""
        return {
            "count": len(self.ids),
            "by_pattern": dict(self.by_pattern),
            "excluded": self.excluded_by_reason(),
            "excluded_names": [f"{entry.name} ({entry.reason})" for entry in self.excluded[:MAX_EXCLUDED_NAMES]],
            "ids": list(self.ids),
        }


def is_glob(text: str) -> bool:
    """Whether a text has a wildcard, so that it can match several names."""
    return _GLOB.search(text) is not None


def matches_any(text: str, globs: Iterable[str]) -> bool:
    """Whether a name matches one of several globs."""
    return any(fnmatchcase(text, glob) for glob in globs)


@lru_cache(maxsize=16_384)
def _folder_matches(folder: str, glob: str) -> bool:
    """Whether a folder path matches a glob, in which ``**`` stands for any number of folders."""
    return _parts_match([part for part in folder.split("/") if part], [part for part in glob.split("/") if part])


def _parts_match(parts: list[str], globs: list[str]) -> bool:
    if not globs:
        return not parts
    if globs[:2] == ["**", "**"]:
        return _parts_match(parts, globs[1:])
    if globs[0] == "**":
        return any(_parts_match(parts[number:], globs[1:]) for number in range(len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], globs[0]) and _parts_match(parts[1:], globs[1:])


def _globs(name: str, value: Any) -> tuple[str, ...]:
    globs = (value,) if isinstance(value, str) else value
    if not isinstance(globs, (tuple, list)) or not globs or not all(isinstance(g, str) and g.strip() for g in globs):
        raise ConfigurationError(f"{name} must be a glob or a list of globs, not {quote_value(value)}")
    return tuple(globs)


def _selectors(value: Any) -> tuple[InstanceSelector, ...]:
    entries = (value,) if isinstance(value, (InstanceSelector, Mapping)) else value
    if not isinstance(entries, (tuple, list)) or not all(isinstance(e, (InstanceSelector, Mapping)) for e in entries):
        raise ConfigurationError(f"selector `exclude` must be a list of selectors, not {quote_value(value)}")
    return tuple(e if isinstance(e, InstanceSelector) else InstanceSelector.from_dict(e) for e in entries)
