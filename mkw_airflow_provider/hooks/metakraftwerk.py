"""The hook: every documented call of the API, for Python callables in a DAG and for the operators of this package."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.providers.common.compat.sdk import BaseHook

from mkw_airflow_provider.client.api import (
    agents,
    build_deployments,
    builds,
    deployments,
    downloads,
    instance_folders,
    instances,
    metadata,
    patterns,
    projects,
    releases,
)
from mkw_airflow_provider.client.api.build_deployments import BuildDeployment
from mkw_airflow_provider.client.api.builds import Build, BuildStatus, CreatedBuild
from mkw_airflow_provider.client.api.downloads import Download, DownloadedFile
from mkw_airflow_provider.client.api.metadata import QueryResult
from mkw_airflow_provider.client.flows import ApiSession, Flow
from mkw_airflow_provider.client.flows.deploy import create as create_build_deployment
from mkw_airflow_provider.client.flows.select import select
from mkw_airflow_provider.client.flows.start import BuildRequest
from mkw_airflow_provider.client.flows.start import create as create_build
from mkw_airflow_provider.client.flows.wait import read_build, wait
from mkw_airflow_provider.client.recovery import send_without_recovery
from mkw_airflow_provider.client.settings import Settings, describe_unknown_extra
from mkw_airflow_provider.client.text import foreign_text
from mkw_airflow_provider.client.token_cache import TokenCache, token_cache_for
from mkw_airflow_provider.client.validation import optional_seconds, seconds, whole_number
from mkw_airflow_provider.exceptions import MetaKraftwerkError, NotAuthenticatedError, QueryError
from mkw_airflow_provider.hooks.cached import cached_property
from mkw_airflow_provider.hooks.connection import mask, settings_of, user_agent
from mkw_airflow_provider.hooks.endpoint import endpoint
from mkw_airflow_provider.selection import InstanceSelector, Selection
from mkw_airflow_provider.typing import InstanceById, InstanceByName

if TYPE_CHECKING:
    from mkw_airflow_provider.client.transports.sync import Client

__all__ = [
    "Build",
    "BuildDeployment",
    "BuildStatus",
    "CreatedBuild",
    "Download",
    "DownloadedFile",
    "MetaKraftwerkHook",
]

T = TypeVar("T")


class MetaKraftwerkHook(BaseHook):
    """Sends requests to MetaKraftwerk over one connection: login, retry, timeouts.

    Every method raises :class:`~mkw_airflow_provider.exceptions.ApiError` with the server's message for an error
    response, and :class:`~mkw_airflow_provider.exceptions.ConnectionFailedError` if there is no response within
    ``outage_tolerance``.

    :param metakraftwerk_conn_id: id of the Airflow connection.
    """

    conn_name_attr = "metakraftwerk_conn_id"
    default_conn_name = "metakraftwerk_default"
    conn_type = "metakraftwerk"
    hook_name = "MetaKraftwerk"

    def __init__(self, metakraftwerk_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.metakraftwerk_conn_id = metakraftwerk_conn_id
        self._download_names: dict[int, str | None] = {}

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """Return the extra fields of the connection form; used before Airflow 3.2."""
        # Here and not above: only the form needs it.
        from mkw_airflow_provider.hooks.form import widgets

        return widgets()

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Return names and placeholders of the connection form; used before Airflow 3.2."""
        # Here and not above: only the form needs it.
        from mkw_airflow_provider.hooks.form import field_behaviour

        return field_behaviour()

    @cached_property
    def settings(self) -> Settings:
        """The connection's fields, checked.

        :raises ConfigurationError: with every missing or malformed field in one message.
        """
        settings = self._read_connection()
        for secret in settings.secrets:
            mask(secret)
        return settings

    @cached_property
    def session(self) -> ApiSession:
        """What the flows of this connection share."""
        return ApiSession(
            self.settings, token_cache_for(self.settings), log=self.log, reload_settings=self._read_connection
        )

    def _read_connection(self) -> Settings:
        return settings_of(self.get_connection(self.metakraftwerk_conn_id))

    def get_conn(self) -> Client:
        """Return the client that runs this hook's flows."""
        return self._client

    @cached_property
    def _client(self) -> Client:
        # Here and not above: reading a DAG file must not load requests.
        from mkw_airflow_provider.client.transports.sync import Client

        return Client(self.settings, user_agent(), mask)

    def run(self, flow: Flow[T]) -> T:
        """Run a flow of :mod:`mkw_airflow_provider.client.flows` to its end."""
        return self.get_conn().run(flow)

    find_builds = endpoint(builds.find_builds)
    find_build_deployments = endpoint(build_deployments.find_build_deployments)
    get_build_deployment = endpoint(build_deployments.get_build_deployment)
    create_build_deployment = endpoint(build_deployments.create_build_deployment, flow=create_build_deployment)
    find_projects = endpoint(projects.find_projects)
    find_patterns = endpoint(patterns.find_patterns)
    find_releases = endpoint(releases.find_releases)
    find_release_groups = endpoint(releases.find_release_groups)
    find_deployments = endpoint(deployments.find_deployments)
    find_agents = endpoint(agents.find_agents)
    find_agent_groups = endpoint(agents.find_agent_groups)
    find_instance_folders = endpoint(instance_folders.find_instance_folders, default_project=True)
    find_instances = endpoint(instances.find_instances, default_project=True)
    find_deliveries = endpoint(metadata.find_deliveries, default_project=True)

    def query_metadata(
        self, statement: str, *, project: str | None = None, project_id: int | None = None
    ) -> QueryResult:
        """Run one SQL statement on a project's metadata (``POST /metadata``). It may change data, so it is sent once.

        :param project: name; without it and ``project_id`` the connection's.
        :raises QueryError: if the statement failed, or if there was no response: whether it was run is unknown then.
        """
        project, project_id = self.project_or_default(project, project_id)
        request = metadata.query_metadata(statement, project=project, project_id=project_id)
        return self.run(send_without_recovery(self.session, request, uncertain=QueryError))

    def select_instances(
        self,
        selector: InstanceSelector | Mapping[str, Any],
        *,
        project: str | None = None,
        project_id: int | None = None,
    ) -> Selection:
        """Find the instances that match a selector (``GET /patterns``, ``/instance_folders`` and ``/instances``).

        :param selector: a selector or its dict form.
        :param project: name; without it and ``project_id`` the connection's.
        :raises SelectionError: if it names a pattern or a folder that does not exist, or selects too many instances.
        """
        if isinstance(selector, Mapping):
            selector = InstanceSelector.from_dict(selector)
        project, project_id = self.project_or_default(project, project_id)
        return self.run(select(self.session, selector, project=project, project_id=project_id))

    def get_build(self, build_id: int) -> Build:
        """Read one build (``GET /builds/:id``).

        :raises NotFoundError: if it does not exist.
        """
        return self._with_names(self.run(read_build(self.session, build_id)))

    def _with_names(self, build: Build) -> Build:
        """Remember what a build's files are called: else :meth:`download` would have to list all that there are."""
        self._download_names.update((download.id, download.name) for download in build.downloads)
        return build

    def create_build(
        self,
        *,
        project: str | None = None,
        project_id: int | None = None,
        instances: Sequence[InstanceById | InstanceByName],
        releases: Mapping[str, str] | None = None,
        description: str | None = None,
        wait: bool = False,
        restore: bool = False,
    ) -> CreatedBuild:
        """Start a build (``POST /builds``). Each one commits its instances, so it is never sent twice.

        :param project: name; without it and ``project_id`` the connection's.
        :param instances: each ``{"id": …}`` or ``{"pattern": …, "folder": …, "name": …}``.
        :param releases: release group name to release name.
        :param description: free text, shown in the web application.
        :param wait: respond only when the build has ended; a response that takes longer than ``read_timeout`` is lost.
        :param restore: restore deleted instances first.
        :raises ConfigurationError: for arguments that the API rules out; nothing is sent.
        :raises BuildStartUncertainError: if the response was lost: whether a build was started is unknown.
        """
        order = BuildRequest(
            *self.project_or_default(project, project_id), instances, releases, description, wait, restore
        )
        return self.run(create_build(self.session, order))

    def project_or_default(self, project: str | None, project_id: int | None) -> tuple[str | None, int | None]:
        """Return the project to use: the given one, else the connection's."""
        if project is None and project_id is None:
            return self.settings.project, None
        return project, project_id

    def wait_for_build(
        self, build_id: int, *, poll_interval: float | timedelta = 30.0, timeout: float | timedelta | None = None
    ) -> Build:
        """Wait until a build is FINISHED.

        :param poll_interval: the longest pause between two polls, in seconds.
        :param timeout: seconds to wait; None: as long as it takes.
        :raises BuildFailedError: if it ended FAILED.
        :raises BuildCanceledError: if it was CANCELED.
        :raises BuildTimeoutError: if the time is over; the build is still running.
        """
        pause, limit = seconds("poll_interval", poll_interval), optional_seconds("timeout", timeout)
        deadline = None if limit is None else time.time() + limit
        result = self.run(wait(self.session, build_id, poll_interval=pause, deadline=deadline))
        return self._with_names(result.require_ended().require_finished())

    def find_downloads(
        self, *, build_id: int | None = None, pattern: str | None = None, pattern_id: int | None = None
    ) -> list[Download]:
        """List downloads (``GET /downloads``). All filters are optional."""
        request = downloads.find_downloads(build_id=build_id, pattern=pattern, pattern_id=pattern_id)
        found: list[Download] = self.run(self.session.request(request))
        self._download_names.update((download.id, download.name) for download in found)
        return found

    def download(self, download_id: int, destination: str | PurePath | Any) -> DownloadedFile:
        """Download one file (``GET /downloads/:id``): streamed, hashed, and under its final name only when complete.

        :param destination: absolute path or URL of the file to write; or a folder, ending in ``/`` or existing locally,
            in which the file gets the name that the API gives. All downloads are listed once to find that, unless this
            hook has read the build or a list before. A file that has the name already is replaced.
        :raises ConfigurationError: if the destination is neither.
        :raises DownloadError: if it cannot be downloaded or stored.
        :raises IntegrityError: if it is not complete.
        """
        # Here and not above: they load fsspec.
        from mkw_airflow_provider.client.flows.download_build import download_into
        from mkw_airflow_provider.client.storage.file_names import safe_name
        from mkw_airflow_provider.hooks.storage import file_of

        number = whole_number("download_id", download_id)
        folder, name = file_of(destination)
        if not name:
            if number not in self._download_names:
                self.find_downloads()
            name = safe_name(self._download_names.get(number), number)
        folder.create()
        checksums = download_into(self.get_conn(), self.session, number, folder, name)
        return DownloadedFile(folder.shown(name), checksums.size, checksums.sha256)

    def test_connection(self) -> tuple[bool, str]:
        """Log in and read the projects; behind the button of the connection form.

        :return: whether it works, and a sentence for the user.
        """
        # Airflow tests a connection under an id that it makes up.
        made_up = f"connection {self.metakraftwerk_conn_id!r}"
        try:
            # Someone is waiting for the result, and an older token would say nothing about the login.
            patience = replace(self.settings, outage_tolerance=0.0)
            session = ApiSession(patience, TokenCache(), log=self.log)
            token = self.run(session.token())
            visible = self.run(session.request(projects.find_projects()))
        except NotAuthenticatedError as error:
            what = "The access token is not valid" if self.settings.token else "E-mail or password is wrong"
            return False, f"{what}. {error}"
        except MetaKraftwerkError as error:
            return False, str(error).replace(made_up, "the connection")
        unknown = describe_unknown_extra(self.get_connection(self.metakraftwerk_conn_id).extra)
        ignored = f". Warning: {foreign_text(unknown)}" if unknown else ""
        text = _describe_login(self.settings, token.user_id, visible)
        return True, f"{text}{ignored}"


def _describe_login(settings: Settings, user_id: int | None, visible: Sequence[projects.Project]) -> str:
    """Return who is logged in and what that user can see."""
    user = "with the access token" if settings.token else f"as {settings.login}"
    number = "" if user_id is None else f" (user {user_id})"
    names = sorted(foreign_text(str(project.name), 100) for project in visible)
    shown = ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
    seen = f"{len(names)} project{' is' if len(names) == 1 else 's are'} visible{': ' if names else ''}{shown}"
    return (
        f"Logged in at {settings.base_url} {user}{number}; {seen}. "
        "The API does not tell whether this user may start builds"
    )
