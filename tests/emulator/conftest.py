"""A small HTTP client for the tests of the emulator, and users that are logged in with it."""

from __future__ import annotations

import http.client
import json
import ssl
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest

from mkw_airflow_provider.emulator import Emulator

AIRPLANE = {"pattern": "CORE_DV_HLS", "folder": "/BUSINESS_VAULT", "name": "AIRPLANE"}


@dataclass
class ApiResponse:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def message(self) -> str:
        return str(self.json["message"])


class Api:
    """One user's view of the API; each call is a connection of its own."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self.url = url
        self.token = token

    def call(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None, **options: Any
    ) -> ApiResponse:
        sent = dict(headers or {})
        token = options.get("token", self.token)
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
        connection = self.connect()
        try:
            connection.request(method, path, data, sent)
            response = connection.getresponse()
            content = response.read()
            return ApiResponse(response.status, {name.lower(): value for name, value in response.getheaders()}, content)
        finally:
            connection.close()

    def get(self, path: str, **options: Any) -> ApiResponse:
        return self.call("GET", f"/api/v1{path}", **options)

    def post(self, path: str, body: Any, **options: Any) -> ApiResponse:
        return self.call("POST", f"/api/v1{path}", body, **options)

    def connect(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.url)
        if parts.scheme == "https":
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            return http.client.HTTPSConnection(parts.hostname or "", parts.port, timeout=30, context=context)
        return http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)

    def log_in(self, email: str, password: str | None = None) -> Api:
        body = {"strategy": "local", "email": email, "password": password or f"{email.partition('@')[0]}-password"}
        return Api(self.url, self.call("POST", "/authentication", body, token=None).json["accessToken"])

    def build(self, *instances: Any, project: str = "DEMO_PROJECT", **more: Any) -> dict[str, Any]:
        """A new build as the API lists it."""
        body = {"project": project, "instances": list(instances) or [AIRPLANE], **more}
        created = self.post("/builds", body)
        assert created.status == 201, created.body
        build: dict[str, Any] = self.get(f"/builds/{created.json['build']['id']}").json
        return build

    def ended(self, build_id: int) -> dict[str, Any]:
        """The build once it has ended."""
        for _ in range(2000):
            build: dict[str, Any] = self.get(f"/builds/{build_id}").json
            if build["status"] != "BUILDING":
                return build
            time.sleep(0.01)
        raise AssertionError(f"Build {build_id} has not ended")


@pytest.fixture(scope="session")
def client() -> type[Api]:
    """The client itself, for emulators other than the session's."""
    return Api


@pytest.fixture
def emulator(metakraftwerk: Emulator) -> Emulator:
    return metakraftwerk


@pytest.fixture
def anonymous(emulator: Emulator) -> Api:
    """A client without a token."""
    return Api(emulator.url)


@pytest.fixture
def demo(anonymous: Api) -> Api:
    """Owner of all projects."""
    return anonymous.log_in("demo@example.com")


@pytest.fixture
def viewer(anonymous: Api) -> Api:
    """May view DEMO_PROJECT and start nothing."""
    return anonymous.log_in("viewer@example.com")


@pytest.fixture
def outsider(anonymous: Api) -> Api:
    """May log in and see no project."""
    return anonymous.log_in("outsider@example.com")


@pytest.fixture
def finished(emulator: Emulator, demo: Api) -> dict[str, Any]:
    """A finished build of AIRPLANE."""
    emulator.set(build_seconds=0)
    build = demo.build()
    emulator.set(build_seconds=10)
    return build
