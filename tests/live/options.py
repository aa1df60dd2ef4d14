"""What to check, from the environment variables ``METAKRAFTWERK_LIVE_*``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mkw_airflow_provider.client.settings import Settings
from mkw_airflow_provider.exceptions import ConfigurationError

PREFIX = "METAKRAFTWERK_LIVE_"
#: A check is read by someone who waits for it: it does not retry for the 15 minutes of a nightly run.
OUTAGE_TOLERANCE = 30

#: Each variable without its prefix in lower case, and what it holds.
VARIABLES = {
    "url": "address of the server, such as `https://app.metakraftwerk.com`",
    "login": "e-mail address of the user",
    "password": "password of the user",
    "token": "an access token, instead of login and password",
    "extra": "JSON as in the connection's extra, for example `verify`, `proxy` or `read_timeout`",
    "project": "name of a project in which test builds may be started",
    "instance": "an instance of that project for test builds: its id, or pattern, folder and name as "
    "`CORE_DV_HLS/BUSINESS_VAULT/AIRPLANE`",
    "releases": 'releases of the test builds as JSON, for example `{"DWH_GROUP": "R1"}`; default: none are sent',
    "deployment": "name of a deployment of that instance's pattern that may be executed",
    "agent_group": "name of the agent group that executes it",
    "failing_instance": "id of an instance of that project whose builds fail",
    "invalid_instance": "id of an instance of that project with validation errors",
    "closed_release": "a closed release as `GROUP/RELEASE`, in which a build may be attempted",
    "foreign_build": "id of a build in a project that the user may not view",
    "expired_token": "a token of yesterday",
}


def variable(name: str) -> str:
    """Return the environment variable of an option."""
    return PREFIX + name.upper()


@dataclass(frozen=True)
class Options:
    """The variables of the environment; None where one is not set. They mean what :data:`VARIABLES` says."""

    url: str | None = None
    login: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    extra: str | None = field(default=None, repr=False)
    project: str | None = None
    instance: str | None = None
    releases: str | None = None
    deployment: str | None = None
    agent_group: str | None = None
    failing_instance: str | None = None
    invalid_instance: str | None = None
    closed_release: str | None = None
    foreign_build: str | None = None
    expired_token: str | None = field(default=None, repr=False)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Options:
        """Read the variables that are set and not empty.

        :raises ValueError: for a variable with the prefix that does not exist.
        """
        found = {
            name.removeprefix(PREFIX).lower(): value for name, value in environment.items() if name.startswith(PREFIX)
        }
        unknown = sorted(set(found) - set(VARIABLES))
        if unknown:
            raise ValueError(f"Unknown variable {variable(unknown[0])}; known: {', '.join(map(variable, VARIABLES))}.")
        return cls(**{name: value.strip() or None for name, value in found.items()})

    @property
    def missing(self) -> str | None:
        """One sentence that says which variables to set before anything can be checked; None if they are set."""
        if self.url and (self.token or (self.login and self.password)):
            return None
        login = " and ".join(map(variable, ("url", "login", "password")))
        return f"Set {login} (or {variable('token')} instead of the last two) to check a real account."

    @property
    def may_build(self) -> bool:
        """Whether test builds may be started."""
        return self.project is not None and self.instance is not None

    def settings(self) -> Settings:
        """Return the settings of the client.

        :raises ConfigurationError: if they cannot be used.
        """
        return Settings.from_fields(
            name="",
            host=self.url,
            login=self.login,
            password=self.password,
            extra={"outage_tolerance": OUTAGE_TOLERANCE}
            | self._object("extra")
            | ({"token": self.token} if self.token else {}),
        )

    def release_mapping(self) -> dict[str, Any]:
        """Return release group names and release names for test builds.

        :raises ConfigurationError: if they are not a JSON object.
        """
        return self._object("releases")

    def _object(self, name: str) -> dict[str, Any]:
        try:
            value = json.loads(getattr(self, name) or "{}")
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise ConfigurationError(f"{variable(name)} must be a JSON object")
        return value

    def instance_definition(self) -> dict[str, Any]:
        """Return the instance as ``POST /builds`` takes it."""
        text = self.instance or ""
        if text.isdecimal():
            return {"id": int(text)}
        pattern, _, rest = text.partition("/")
        folder, _, name = rest.rpartition("/")
        return {"pattern": pattern, "folder": f"/{folder}", "name": name}
