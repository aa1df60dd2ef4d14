"""A real account, seen through the package's own client. Reads only, unless test builds are allowed."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from mkw_airflow_provider import __version__
from mkw_airflow_provider.client.api.authentication import Token
from mkw_airflow_provider.client.api.builds import Build, get_build
from mkw_airflow_provider.client.flows import ApiSession, Flow
from mkw_airflow_provider.client.flows.build_marker import BuildMarker, task_key
from mkw_airflow_provider.client.flows.wait import wait
from mkw_airflow_provider.client.known_secrets import remember_secrets
from mkw_airflow_provider.client.request import API, Request, Response
from mkw_airflow_provider.client.text import foreign_text
from mkw_airflow_provider.client.token_cache import TokenCache
from mkw_airflow_provider.client.transports.sync import Client, StopSignal
from tests.live.findings import NotCheckedError
from tests.live.options import Options

T = TypeVar("T")

#: No record has this id, the largest that many databases know.
UNKNOWN_ID = 2_147_483_647
UNKNOWN_NAME = "mkw-airflow-provider: no such name"
#: How long a test build may take, in seconds.
LONGEST_BUILD = 3600
#: Longer than a database column of 255 characters, to see whether descriptions are cut.
DESCRIPTION = "Test build of mkw-airflow-provider. " + "This text is long, to see whether it is cut. " * 7 + "End."

#: What may be sent although it is a POST: it changes nothing.
SELECT = re.compile(r"SELECT\b", re.IGNORECASE)
#: Downloading a file counts, and patterns may compare later builds with what was downloaded.
FILE = re.compile(rf"{API}/downloads/(\d+)")


def changes_state(request: Request[Any]) -> bool:
    """Whether a request may change anything on the server."""
    file = FILE.fullmatch(request.path)
    if request.method == "GET":
        return file is not None and int(file[1]) != UNKNOWN_ID
    if request.path == f"{API}/metadata":
        return not SELECT.match(str((request.body or {}).get("statement")))
    return request.path != "/authentication"


class ReadOnlyError(AssertionError):
    """A check would change something on a server where that is not allowed."""


class _GuardedClient(Client):
    """The package's client. Refuses to send what changes state, unless that is allowed."""

    def __init__(self, options: Options) -> None:
        super().__init__(options.settings(), f"mkw-airflow-provider/{__version__} live-check", lambda _: None)
        self._may_build = options.may_build

    def send(self, request: Request[Any], stop: StopSignal | None = None) -> Response:
        if not self._may_build and changes_state(request):
            raise ReadOnlyError(f"{request} must not be sent without a project and an instance for test builds")
        return super().send(request, stop)


@dataclass(frozen=True)
class TestBuild:
    """A build that this check has started, with the first responses about it."""

    __test__ = False

    marker: BuildMarker
    created: Response
    first_read: Response
    first_list: Response

    @property
    def id(self) -> int:
        """Its id."""
        return int(self.created.json()["build"]["id"])


@dataclass(frozen=True)
class TestDeployment:
    """A deployment that this check has started, with the first responses about it."""

    __test__ = False

    created: Response
    first_read: Response
    first_list: Response
    seconds: float

    @property
    def record(self) -> Mapping[str, Any]:
        """The JSON object."""
        value = self.created.json()
        return dict(value.get("build_deployment", value))


class Account:
    """Everything that the checks share.

    :param options: where to connect, and what is allowed.
    :param prompt: seconds within which a deployment that runs in the background is expected to be accepted.
    """

    def __init__(self, options: Options, *, prompt: float = 10.0) -> None:
        self.options = options
        self.prompt = prompt
        self._client = _GuardedClient(options)
        self.session = ApiSession(options.settings(), TokenCache())
        self._known: dict[str, Any] = {}
        self._started: set[str] = set()
        remember_secrets(options.expired_token)

    def run(self, flow: Flow[T]) -> T:
        """Run a flow of the client."""
        return self._client.run(flow)

    def read(self, request: Request[T]) -> T:
        """Send a request as the client does, with its retries."""
        return self.run(self.session.request(request))

    @cached_property
    def token(self) -> Token:
        """The access token, after a login if necessary."""
        return self.run(self.session.token())

    def send(self, request: Request[Any]) -> Response:
        """Send a request once, with the token, and return its response, whatever it is."""
        return self._client.send(request.with_token(self.token.value))

    def respond(
        self, method: str, path: str, *, body: Mapping[str, Any] | None = None, token: str | None = None, **query: Any
    ) -> Response:
        """Send a request once and return its response, whatever it is.

        :param path: below ``/api/v1``, or ``/authentication``.
        :param token: instead of the account's.
        """
        is_login = path == "/authentication"
        request: Request[Response] = Request(
            method,
            path if is_login else API + path,
            lambda response: response,
            tuple((name, str(value)) for name, value in query.items()),
            body=body,
            # Only for the limit of the body's size.
            returns_list=True,
        )
        return self._client.send(request if is_login else request.with_token(token or self.token.value))

    def rows(self, path: str, **query: Any) -> list[Any]:
        """Return a list of the API as it came. The same list is read once.

        :raises NotCheckedError: if there is no such list.
        """

        def read() -> list[Any]:
            response = self.respond("GET", path, **query)
            value = response.json_or_none()
            if not response.ok or not isinstance(value, list):
                raise NotCheckedError(f"GET {path}: {describe(response)}")
            return value

        return self.remember(f"{path} {query}", read)

    @cached_property
    def project_id(self) -> int:
        """The project for test builds, or else the first one that the user sees."""
        rows = self.rows("/projects")
        named = [row for row in rows if row.get("name") == self.options.project]
        if not (named or (rows and self.options.project is None)):
            raise NotCheckedError("no such project is visible" if rows else "no project is visible")
        return int((named or rows)[0]["id"])

    def remember(self, what: str, make: Callable[[], T]) -> T:
        """Return what a function returned when it was first called under this name."""
        if what not in self._known:
            self._known[what] = make()
        return self._known[what]  # type: ignore[no-any-return]

    def once(self, what: str, send: Callable[[], Response]) -> Response:
        """Send a request that changes state; a second call raises, so that a failure never repeats it.

        :raises NotCheckedError: if it was sent before, or fails.
        """
        if what in self._started:
            raise NotCheckedError(f"{what} could not be started")
        self._started.add(what)
        response = send()
        # The lists have changed.
        self._known = {name: value for name, value in self._known.items() if not name.startswith("/")}
        if not response.ok:
            raise NotCheckedError(f"{what} was refused: {describe(response)}")
        return response

    def post_build(self, instance: Mapping[str, Any], **body: Any) -> Response:
        """Send ``POST /builds`` once, for one instance."""
        sent: dict[str, Any] = {"project_id": self.project_id, "instances": [instance]}
        if releases := self.options.release_mapping():
            sent["releases"] = releases
        return self.respond("POST", "/builds", body=sent | body)

    @cached_property
    def test_build(self) -> TestBuild:
        """A build of the instance for test builds."""
        marker = BuildMarker.new(task_key("mkw-airflow-provider", "make live", "test_build", -1), 0)
        described = f"{marker} {DESCRIPTION}"
        instance = self.options.instance_definition()
        created = self.once("the test build", lambda: self.post_build(instance, description=described))
        build_id = created.json()["build"]["id"]
        return TestBuild(
            marker,
            created,
            self.respond("GET", f"/builds/{build_id}"),
            self.respond("GET", "/builds", project_id=self.project_id),
        )

    @property
    def running_build(self) -> Build:
        """The test build as it is now."""
        return self.read(get_build(self.test_build.id))

    @cached_property
    def finished_build(self) -> Build:
        """The test build when it has ended.

        :raises NotCheckedError: if it is not FINISHED.
        """
        deadline = time.time() + LONGEST_BUILD
        result = self.run(wait(self.session, self.test_build.id, poll_interval=15, deadline=deadline))
        build = result.require_ended()
        if build.status != "FINISHED":
            raise NotCheckedError(f"the test build is {build.status}: {build.message}")
        return build

    def post_deployment(self, **change: Any) -> Response:
        """Send ``POST /build_deployments`` once, for the test build."""
        body: dict[str, Any] = {
            "build_id": self.test_build.id,
            "pattern_id": self.running_build.patterns[0],
            "deployment": self.options.deployment,
        }
        if self.options.agent_group:
            body["agent_group"] = self.options.agent_group
        sent = {name: value for name, value in (body | change).items() if value is not None}
        return self.respond("POST", "/build_deployments", body=sent)

    @cached_property
    def test_deployment(self) -> TestDeployment:
        """A deployment of the test build."""
        build_id = self.finished_build.id
        began = time.monotonic()
        created = self.once("the test deployment", self.post_deployment)
        seconds = time.monotonic() - began
        value = created.json()
        record = value.get("build_deployment", value) if isinstance(value, dict) else {}
        return TestDeployment(
            created,
            self.respond("GET", f"/build_deployments/{record.get('id', UNKNOWN_ID)}"),
            self.respond("GET", "/build_deployments", build_id=build_id),
            seconds,
        )


def describe(response: Response) -> str:
    """Return status and message of a response."""
    value = response.json_or_none()
    message = value.get("message") if isinstance(value, dict) else None
    if message is None and response.ok:
        return response.described
    return f"{response.status} {foreign_text(str(message), 150) if message else response.described}"
