"""``/builds``: find, get and create. The API documents no update, no cancel and no delete."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, ClassVar

import pendulum

from mkw_airflow_provider.client.api.downloads import Download
from mkw_airflow_provider.client.model import Record, message
from mkw_airflow_provider.client.request import Request, api_path, query, read_one
from mkw_airflow_provider.client.rows import read_list
from mkw_airflow_provider.client.text import foreign_text, quote_value
from mkw_airflow_provider.client.validation import (
    at_most_one,
    exactly_one,
    flag,
    instance_list,
    optional_number,
    optional_text,
    release_mapping,
    whole_number,
)
from mkw_airflow_provider.exceptions import BuildCanceledError, BuildFailedError, ProtocolError


class BuildStatus(str, Enum):
    """The documented states of a build. ``CANCELED`` means that a person stopped it in the web application."""

    BUILDING = "BUILDING"
    FINISHED = "FINISHED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"

    def __str__(self) -> str:
        return self.value


_ENDS = (BuildStatus.FINISHED, BuildStatus.FAILED, BuildStatus.CANCELED)


def _status(value: Any) -> BuildStatus | str | None:
    try:
        return BuildStatus(value)
    except ValueError:
        shown = foreign_text(value, 100) if isinstance(value, str) else ""
        # What is only nearly a status must not become one.
        return (quote_value(value) if shown in set(BuildStatus) else shown) or None


def _downloads(value: Any) -> tuple[Download, ...]:
    """Read what can be read: how a build is must not depend on how its files are listed."""
    downloads = []
    for entry in value if isinstance(value, (list, tuple)) else ():
        with suppress(ProtocolError):
            downloads.append(Download.from_json(entry))
    return tuple(downloads)


@dataclass(frozen=True)
class Build(Record):
    """A build, with the fields that the API documents. Only ``id`` and ``status`` may be relied on.

    :param status: a :class:`BuildStatus`, or the server's word for one that the API does not document.
    :param progress: per cent, 0 to 100.
    :param message: what the server does at the moment; the documented example keeps an old one after the end.
    :param downloads: the files, once the build is FINISHED; without entries that cannot be read.
    """

    noun: ClassVar[str] = "build"

    status: BuildStatus | str = field(metadata={"read": _status})
    customer_id: int | None = None
    user_id: int | None = None
    project_id: int | None = None
    progress: int | None = None
    message: str | None = field(default=None, metadata={"read": message})
    build_start: pendulum.DateTime | None = None
    build_end: pendulum.DateTime | None = None
    created_at: pendulum.DateTime | None = None
    updated_at: pendulum.DateTime | None = None
    history_commited: int | None = None
    version: int | None = None
    active: int | None = None
    mts: int | None = None
    name: str | None = None
    deliveries_calculated: int | None = None
    description: str | None = None
    commit_ind: int | None = None
    deleted: int | None = None
    instances: int | None = None
    patterns: tuple[int, ...] = ()
    releases: tuple[int, ...] = ()
    downloads: tuple[Download, ...] = field(default=(), metadata={"read": _downloads})

    @property
    def has_ended(self) -> bool:
        """Whether the build is FINISHED, FAILED or CANCELED. An unknown status is no end."""
        return self.status in _ENDS

    @property
    def seconds(self) -> float | None:
        """How long the build took, by its own start and end; None if it has not ended or the server does not say."""
        if self.build_start is None or self.build_end is None:
            return None
        return max(0.0, (self.build_end - self.build_start).total_seconds())

    def require_finished(self) -> Build:
        """Return the build itself.

        :raises BuildFailedError: if it ended FAILED.
        :raises BuildCanceledError: if it was CANCELED.
        :raises ProtocolError: if it has not ended, or its status is unknown: that never passes for success.
        """
        if self.status == BuildStatus.FAILED:
            raise BuildFailedError(self)
        if self.status == BuildStatus.CANCELED:
            raise BuildCanceledError(self)
        if self.status != BuildStatus.FINISHED:
            raise ProtocolError(f"build {self.id} is {self.status}, which is not the end of a build")
        return self


@dataclass(frozen=True)
class CreatedBuild:
    """The response to ``POST /builds``.

    :param build: the build; without ``wait`` only its id and status are sure (documented, by example).
    :param warnings: the API's warnings, e.g. about missing releases.
    """

    build: Build
    warnings: list[str]


def find_builds(
    *,
    project: str | None = None,
    project_id: int | None = None,
    user: str | None = None,
    user_id: int | None = None,
    pattern: str | None = None,
    pattern_id: int | None = None,
    releases: Mapping[str, str] | None = None,
) -> Request[list[Build]]:
    """List builds. All filters are optional (documented). There is no filter for status or time.

    :param user: name of the user who started the build.
    :param releases: release group name to release name; sent as JSON, whose encoding the API leaves open.
    :raises ConfigurationError: where a name and the id of the same thing are both given.
    """
    at_most_one(project=project, project_id=project_id)
    at_most_one(user=user, user_id=user_id)
    at_most_one(pattern=pattern, pattern_id=pattern_id)
    filters = query(
        project=optional_text("project", project),
        project_id=optional_number("project_id", project_id),
        user=optional_text("user", user),
        user_id=optional_number("user_id", user_id),
        pattern=optional_text("pattern", pattern),
        pattern_id=optional_number("pattern_id", pattern_id),
        releases=release_mapping(releases),
    )
    return Request("GET", api_path("builds"), read_list(Build.from_json), filters)


@dataclass(frozen=True)
class _Head(Record):
    noun: ClassVar[str] = "build"
    status: BuildStatus | str = field(metadata={"read": _status})


class BuildHead:
    """What a poll of a long list needs of a build. The rest stays text: objects would take many times the memory.

    :param value: the build as JSON object.
    """

    __slots__ = ("_text", "has_ended", "id", "is_finished")

    def __init__(self, value: Any) -> None:
        head = _Head.from_json(value)
        self.id = head.id
        self.has_ended = head.status in _ENDS
        self.is_finished = head.status == BuildStatus.FINISHED
        self._text = json.dumps(value) if self.has_ended else ""

    @property
    def build(self) -> Build:
        """The whole build, once it has ended."""
        return Build.from_json(json.loads(self._text))

    @property
    def end(self) -> float | None:
        """When the build ended, in seconds since the epoch by the server's clock; None: not known."""
        end = self.build.build_end if self.has_ended else None
        return None if end is None else end.timestamp()


def list_build_heads(
    *, project: str | None = None, project_id: int | None = None, user: str | None = None
) -> Request[list[BuildHead]]:
    """List builds as :func:`find_builds` does, but read no more of them than a poll needs."""
    return replace(  # type: ignore[return-value]  # the same request for another type
        find_builds(project=project, project_id=project_id, user=user),
        read=read_list(BuildHead),  # type: ignore[arg-type]
    )


def get_build(build_id: int, *, running: Collection[str] | None = None) -> Request[Build]:
    """Read one build.

    :param running: the fields to read while the build is BUILDING; None: all. A wait reads the same build many times.
    """
    number = whole_number("build_id", build_id)

    def read(value: Any) -> Build:
        is_running = isinstance(value, Mapping) and value.get("status") == BuildStatus.BUILDING
        build = Build.from_json(value, running if is_running else None)
        if build.id != number:
            raise ProtocolError(f"build {number} was asked for, build {build.id} came")
        return build

    return Request("GET", api_path("builds", number), read_one(read))


def create_build(
    *,
    project: str | None = None,
    project_id: int | None = None,
    instances: Sequence[Mapping[str, Any]],
    releases: Mapping[str, str] | None = None,
    description: str | None = None,
    wait: bool = False,
    restore: bool = False,
) -> Request[CreatedBuild]:
    """Start a build. Each one commits its instances: it must not be sent twice.

    :param instances: each ``{"id": …}`` or ``{"pattern": …, "folder": …, "name": …}`` (documented).
    :param releases: release group name to release name.
    :param description: free text, shown in the web application.
    :param wait: respond only when the build has ended; a long build outlasts the read timeout (documented).
    :param restore: restore deleted instances first.
    :raises ConfigurationError: for arguments that the API's page rules out.
    """
    exactly_one(project=project, project_id=project_id)
    body: dict[str, Any] = {
        "project": optional_text("project", project),
        "project_id": optional_number("project_id", project_id),
        "instances": instance_list(instances),
        "releases": release_mapping(releases),
        "description": description,
        "wait": flag("wait", wait) or None,
        "restore": flag("restore", restore) or None,
    }
    sent = {name: value for name, value in body.items() if value is not None}
    return Request("POST", api_path("builds"), read_one(_read_created), body=sent)


def _read_created(value: Any) -> CreatedBuild:
    if not isinstance(value, Mapping):
        raise ProtocolError(f"the response to POST /builds is not the documented object: {quote_value(value)}")
    warnings = value.get("warnings")
    return CreatedBuild(
        build=Build.from_json(value.get("build")),
        warnings=[foreign_text(str(warning)) for warning in warnings] if isinstance(warnings, list) else [],
    )
