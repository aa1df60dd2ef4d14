"""What a task read and made, for OpenLineage. Loaded only where its provider for Airflow is installed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from mkw_airflow_provider.client.api.patterns import find_patterns
from mkw_airflow_provider.client.api.projects import find_projects
from mkw_airflow_provider.client.flows import ApiSession, Flow
from mkw_airflow_provider.client.flows.wait import read_build
from mkw_airflow_provider.client.token_cache import token_cache_for
from mkw_airflow_provider.client.transports.sync import Client
from mkw_airflow_provider.hooks.connection import mask, user_agent

if TYPE_CHECKING:
    from mkw_airflow_provider.operators.base import MetaKraftwerkOperator

#: Seconds for each of the requests: OpenLineage's provider waits for no more than 10 s in all.
TIMEOUT = 3.0


class Datasets:
    """The datasets of one build: ``project/pattern`` in the namespace ``metakraftwerk://host``, as assets name them.

    :param host: the server, with its port if it is not the usual one.
    :param project: name of the build's project.
    :param patterns: id and name of each pattern of the build.
    """

    def __init__(self, host: str, project: str, patterns: Mapping[int, str]) -> None:
        self._namespace = f"metakraftwerk://{host}"
        self._project = project
        self._patterns = patterns

    def of_patterns(self, only: int | str | None = None) -> list[Any]:
        """Return a dataset for the results of each pattern.

        :param only: name or id of one pattern.
        """
        names = [name for number, name in self._patterns.items() if only in (None, number, name)]
        return [self._named(self._project, name) for name in names]

    def within(self, dataset: Any, name: Any) -> Any:
        """Return a dataset below another one."""
        return _dataset(self._namespace, f"{dataset.name}/{quote(str(name), safe='')}")

    def of_folder(self, url: str) -> Any:
        """Return the dataset of a folder: a local path or a URL."""
        parts = urlsplit(url)
        if parts.scheme in ("", "file"):
            return _dataset("file", parts.path)
        return _dataset(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}", parts.path.strip("/") or "/")

    def _named(self, *names: str) -> Any:
        return _dataset(self._namespace, "/".join(quote(name, safe="") for name in names))


def find_lineage(operator: MetaKraftwerkOperator, facts: Mapping[str, Any] | None) -> Any:
    """Return the datasets of a task, and the build as a facet of its run.

    This runs in a process forked from the task's, so it must not use the task's connections to the server.

    :param facts: what the task published; it has the build's id. None: it did nothing.
    """
    # The provider that has these modules is optional.
    from airflow.providers.common.compat.openlineage.facet import ExternalQueryRunFacet
    from airflow.providers.openlineage.extractors import OperatorLineage

    if facts is None:
        # Not None, which would be logged as a mistake.
        return OperatorLineage()
    settings = replace(operator.hook.settings, connect_timeout=TIMEOUT, read_timeout=TIMEOUT, outage_tolerance=TIMEOUT)
    session = ApiSession(settings, token_cache_for(settings), log=operator.log)
    inputs: list[Any] = []
    outputs: list[Any] = []
    if operator.has_datasets:
        client = Client(settings, user_agent(), mask)
        inputs, outputs = operator.lineage(client.run(_find_datasets(session, facts["build_id"])))
    facet = ExternalQueryRunFacet(externalQueryId=str(facts["build_id"]), source=settings.base_url)
    return OperatorLineage(inputs=inputs, outputs=outputs, run_facets={"externalQuery": facet})


def _find_datasets(session: ApiSession, build_id: int) -> Flow[Datasets]:
    build = yield from read_build(session, build_id)
    projects = yield from session.request(find_projects())
    patterns = yield from session.request(find_patterns())
    names: dict[int | None, str | None] = {project.id: project.name for project in projects}
    found = {one.id: one.name for one in patterns if one.id in build.patterns and one.name is not None}
    host = urlsplit(session.settings.base_url).netloc.lower()
    return Datasets(host, names.get(build.project_id) or str(build.project_id), found)


def _dataset(namespace: str, name: str) -> Any:
    # As above.
    from airflow.providers.common.compat.openlineage.facet import Dataset

    return Dataset(namespace=namespace, name=name)
