"""By what a build is found again: the API cannot recognise a repeated request, but it keeps a description."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace

from mkw_airflow_provider.client.api.builds import Build, BuildStatus


@dataclass(frozen=True)
class BuildMarker:
    """Which series of tries of which task a build belongs to.

    A retry has the identity of the try before; a cleared task starts a new series, and so a new identity.

    :param map_index: -1 for a task that is not mapped.
    :param first_try: number of the first try of the series.
    """

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    first_try: int

    @property
    def marker(self) -> str:
        """The text that is looked for in descriptions: 16 hexadecimal digits in brackets."""
        parts = [self.dag_id, self.run_id, self.task_id, self.map_index, self.first_try]
        return f"[airflow:{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]}]"

    def describe(self, text: str | None) -> str:
        """Return a build's description: the user's text, a line for whoever reads the web page, the marker."""
        mapped = f", map index {self.map_index}" if self.map_index >= 0 else ""
        line = f"Started by Airflow: DAG {self.dag_id}, task {self.task_id}{mapped}, run {self.run_id} {self.marker}"
        return f"{text}\n{line}" if text else line

    def earlier(self) -> list[BuildMarker]:
        """Return the identities that earlier series of the same task can have had."""
        return [replace(self, first_try=first_try) for first_try in range(1, self.first_try)]

    def marks(self, build: Build) -> bool:
        """Whether a build was started under this identity."""
        return build.description is not None and self.marker in build.description


def choose(identity: BuildMarker, builds: Iterable[Build]) -> Build | None:
    """Return the build of an identity that a retry takes up again: the newest that goes on, else the newest FINISHED.

    FAILED and CANCELED builds are left aside: a retry after them builds again.
    """
    broken = (BuildStatus.FAILED, BuildStatus.CANCELED)
    mine = [build for build in builds if identity.marks(build) and build.status not in broken]
    return max(mine, key=lambda build: (build.status != BuildStatus.FINISHED, build.id), default=None)
