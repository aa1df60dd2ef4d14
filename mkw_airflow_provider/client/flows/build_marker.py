"""The marker in a build's description, by which a task finds the builds that it started.

The API cannot recognize a repeated request, but it keeps the description that it is given.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from mkw_airflow_provider.client.api.builds import Build, BuildStatus

#: The readable line is dropped where the description would become longer than this: no limit is documented, and 255
#: characters are what a database column often holds.
LONGEST_DESCRIPTION = 255

_MARKER = re.compile(r"\[airflow:([0-9a-f]{16})-(\d{1,9})-([0-9a-f]{8})\]")


def task_key(dag_id: str, run_id: str, task_id: str, map_index: int) -> str:
    """Return 16 hexadecimal digits that stand for one task instance.

    :param map_index: -1 for a task that is not mapped.
    """
    return hashlib.sha256(json.dumps([dag_id, run_id, task_id, map_index]).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class BuildMarker:
    """Names one ``POST /builds`` of one task instance.

    :param task: the task instance's :func:`task_key`.
    :param max_tries: of the task instance: clearing it usually changes this.
    :param nonce: 8 random hexadecimal digits. An older build, a DAG run that was deleted and created again, and another
        Airflow with the same account can have the same task and ``max_tries``, but never the same nonce.
    """

    task: str
    max_tries: int
    nonce: str

    @classmethod
    def new(cls, task: str, max_tries: int) -> BuildMarker:
        """Return a marker with a new nonce, for one POST."""
        return cls(task, max_tries, secrets.token_hex(4))

    @classmethod
    def find(cls, text: Any) -> BuildMarker | None:
        """Return the first marker in a description, or in the text of a marker; None if it has none, or is no text."""
        match = _MARKER.search(text) if isinstance(text, str) else None
        return cls(match[1], int(match[2]), match[3]) if match else None

    def __str__(self) -> str:
        return f"[airflow:{self.task}-{self.max_tries}-{self.nonce}]"

    def describe(self, text: str | None, origin: str) -> str:
        """Return a build's description. The marker comes first, so that a server that cuts the end keeps it.

        :param text: the user's text, which is never cut.
        :param origin: a readable line that says where the build comes from.
        """
        if not text:
            whole = f"{self} {origin}"
            return whole if len(whole) <= LONGEST_DESCRIPTION else str(self)
        whole = f"{self} {text}\n{origin}"
        return whole if len(whole) <= LONGEST_DESCRIPTION else f"{self} {text}"


@dataclass(frozen=True)
class MarkedBuild:
    """A build that the API lists, and its marker.

    :param is_of_this_run: whether it was created after the DAG run had started; None: that is not known.
    """

    build: Build
    marker: BuildMarker
    is_of_this_run: bool | None = None


def pick_reusable(builds: Iterable[MarkedBuild], max_tries: int) -> MarkedBuild | None:
    """Return the build that a later attempt considers first, or None.

    A running build of the same attempts comes first, then a FINISHED one of this DAG run, then a running build from
    before the task was cleared. The newest comes first among equals. FAILED, CANCELED and deleted builds do not
    count: after them the task builds again.

    :param builds: builds of one task instance.
    :param max_tries: of the attempt that asks: builds with the same belong to it and to the attempts that it retries.
    """
    ranked = [(_rank(marked, max_tries), marked.build.id, marked) for marked in builds]
    best = max((entry for entry in ranked if entry[0]), key=lambda entry: entry[:2], default=None)
    return best[2] if best else None


def _rank(marked: MarkedBuild, max_tries: int) -> int:
    is_same = marked.marker.max_tries == max_tries
    if marked.build.deleted:
        return 0
    if not marked.build.has_ended:
        return 3 if is_same else 1
    if marked.build.status == BuildStatus.FINISHED and is_same and marked.is_of_this_run is not False:
        return 2
    return 0
