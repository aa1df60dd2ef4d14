"""Control an emulator in another process: switches, faults, request log and state, over HTTP."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from mkw_airflow_provider.emulator.state.users import USERS

TIMEOUT = 60.0


class ControlError(ValueError):
    """The emulator refused a request of its control plane; the message says why."""


class Control:
    """Steers an emulator and reads what happened in it.

    :param url: the emulator's URL, such as ``http://127.0.0.1:8099``.
    :param ssl_context: how to verify its certificate, for an https URL.
    """

    def __init__(self, url: str, ssl_context: ssl.SSLContext | None = None) -> None:
        self.url = url.rstrip("/")
        # An emulator is local: the proxies of the environment do not apply.
        handlers: list[Any] = [urllib.request.ProxyHandler({})]
        if ssl_context is not None:
            handlers.append(urllib.request.HTTPSHandler(context=ssl_context))
        self._opener = urllib.request.build_opener(*handlers)

    @property
    def port(self) -> int:
        """The port on which it listens."""
        parts = urlsplit(self.url)
        return parts.port or (443 if parts.scheme == "https" else 80)

    @property
    def connection(self) -> dict[str, Any]:
        """An Airflow connection for demo@example.com, the seeded user with all permissions."""
        return self.connection_for("demo@example.com")

    def connection_for(self, email: str) -> dict[str, Any]:
        """Return an Airflow connection for a seeded user, as the dictionary that Airflow reads from JSON.

        :param email: demo@example.com, viewer@example.com or outsider@example.com.
        :raises ValueError: for any other user.
        """
        users = {user.email: user for user in USERS}
        if email not in users:
            raise ValueError(f"Unknown user {email}. Users: {', '.join(users)}")
        parts = urlsplit(self.url)
        return {
            "conn_type": "metakraftwerk",
            "host": parts.hostname,
            "port": self.port,
            "schema": parts.scheme,
            "login": email,
            "password": users[email].password,
        }

    @property
    def connection_json(self) -> str:
        """``connection`` as JSON, ready for ``AIRFLOW_CONN_METAKRAFTWERK_DEFAULT``."""
        return json.dumps(self.connection)

    def health(self) -> dict[str, Any]:
        """Return ``status`` and ``time`` of the emulator.

        :raises OSError: if it is not running.
        """
        result: dict[str, Any] = self._call("GET", "/health")
        return result

    def reset(self) -> None:
        """Restore the seed: rows, request log, faults, and the initial switches. Tokens stay valid."""
        self._call("POST", "/reset")

    def set(self, **switches: Any) -> dict[str, Any]:
        """Change some switches, all or none of them.

        :return: all switches.
        :raises ControlError: for an unknown name or a value that is not allowed.
        """
        result: dict[str, Any] = self._call("PATCH", "/switches", switches)
        return result

    def switches(self) -> dict[str, Any]:
        """All switches by name."""
        result: dict[str, Any] = self._call("GET", "/switches")
        return result

    def fault(
        self,
        action: str,
        *,
        method: str = "*",
        path: str = "*",
        times: int | None = 1,
        skip: int = 0,
        seconds: float | None = None,
        **arguments: Any,
    ) -> dict[str, Any]:
        """Add a fault. The first fault that matches a request acts on it.

        :param action: status, gateway, reset, close, delay, truncate, trickle, endless, nested, redirect or expired.
        :param method: HTTP method, or ``*``.
        :param path: glob on the path; ``*`` also matches slashes.
        :param times: the number of requests to hit; None for no limit. If ``seconds`` is given, 1 means no limit.
        :param skip: the number of matching requests to let pass first.
        :param seconds: how long the fault stays active from its first hit.
        :param arguments: arguments of the action, such as ``status=502``.
        :return: the fault, with its id.
        :raises ControlError: for an unknown action or argument.
        """
        body = {
            "method": method,
            "path": path,
            "skip": skip,
            "seconds": seconds,
            "action": {"type": action, **arguments},
            "times": None if seconds is not None and times == 1 else times,
        }
        result: dict[str, Any] = self._call("POST", "/faults", body)
        return result

    def faults(self) -> list[dict[str, Any]]:
        """Return all faults with their hits."""
        result: list[dict[str, Any]] = self._call("GET", "/faults")
        return result

    def remove_fault(self, fault_id: int) -> dict[str, Any]:
        """Remove one fault and return it with its hits.

        :raises ControlError: there is no such fault.
        """
        result: dict[str, Any] = self._call("DELETE", f"/faults/{fault_id}")
        return result

    def clear_faults(self) -> None:
        """Remove all faults."""
        self._call("DELETE", "/faults")

    def requests(self, method: str | None = None, path: str | None = None) -> list[dict[str, Any]]:
        """Return the requests that arrived, oldest first, without those of the control plane.

        Each has ``id``, ``time``, ``method``, ``path``, ``query`` (pairs), ``headers`` (lower case), ``body``,
        ``authorized``, ``user_id``, ``status`` (None: no response, or not yet), ``fault`` and ``seconds``.

        :param method: only this method.
        :param path: only paths that match this glob.
        """
        query = {name: value for name, value in (("method", method), ("path", path)) if value is not None}
        result: list[dict[str, Any]] = self._call("GET", f"/requests?{urlencode(query)}")
        return result

    def clear_requests(self) -> None:
        """Empty the request log."""
        self._call("DELETE", "/requests")

    def builds(self) -> list[dict[str, Any]]:
        """Return all builds, with ``project``, ``user``, ``instance_names`` and more that the API does not show."""
        result: list[dict[str, Any]] = self._call("GET", "/builds")
        return result

    def start_build(
        self,
        project: str = "DEMO_PROJECT",
        instances: list[str | int] | None = None,
        user: str = "demo",
        description: str | None = None,
    ) -> dict[str, Any]:
        """Start a build as a person does in the web application.

        :param instances: names or ids; default AIRPLANE.
        :param user: user name.
        :raises ControlError: for an unknown project, instance or user.
        """
        body = {"project": project, "instances": instances or ["AIRPLANE"], "user": user, "description": description}
        result: dict[str, Any] = self._call("POST", "/builds", body)
        return result

    def end_build(self, build_id: int, status: str = "CANCELED", message: str | None = None) -> dict[str, Any]:
        """End a running build now, as a person does in the web application.

        :param status: FINISHED, FAILED or CANCELED.
        :param message: the build's last message; None for the default.
        :raises ControlError: if it has already ended, or does not exist.
        """
        result: dict[str, Any] = self._call("POST", f"/builds/{build_id}/end", {"status": status, "message": message})
        return result

    def delete_build(self, build_id: int) -> None:
        """Delete a build with its downloads and deployments.

        :raises ControlError: if it does not exist.
        """
        self._call("DELETE", f"/builds/{build_id}")

    def build_deployments(self) -> list[dict[str, Any]]:
        """Return all build deployments, with their ``status`` and whether they are ``automatic``."""
        result: list[dict[str, Any]] = self._call("GET", "/build_deployments")
        return result

    def downloads(self) -> list[dict[str, Any]]:
        """Return all downloads, also of unfinished builds; ``downloaded`` counts complete transfers."""
        result: list[dict[str, Any]] = self._call("GET", "/downloads")
        return result

    def add_project(self, name: str, **fields: Any) -> int:
        """Add a project and return its id. The user demo may build in it.

        :param fields: further keys of a project in a seed file, as for all ``add_`` methods.
        :raises ControlError: for a duplicate, an unknown name or an unknown key, as for all ``add_`` methods.
        """
        return self._add("projects", {"projects": [{"name": name, **fields}]})

    def add_pattern(self, name: str, **fields: Any) -> int:
        """Add a pattern and return its id; ``deployments`` are three by default."""
        return self._add("patterns", {"patterns": [{"name": name, **fields}]})

    def add_folder(self, path: str, *, pattern: str, project: str = "DEMO_PROJECT", **fields: Any) -> int:
        """Add an instance folder and return its id. Parents that do not exist are created."""
        folder = {"path": path, "pattern": pattern, **fields}
        return self._add("instance_folders", {"projects": [{"name": project, "folders": [folder]}]})

    def add_instance(
        self, name: str, *, pattern: str, folder: str, project: str = "DEMO_PROJECT", **fields: Any
    ) -> int:
        """Add an instance and return its id. A folder that does not exist is created."""
        instance = {"name": name, "pattern": pattern, "folder": folder, **fields}
        return self._add("instances", {"projects": [{"name": project, "instances": [instance]}]})

    def add_deployment(self, name: str, *, pattern: str) -> int:
        """Add a deployment definition to a pattern and return its id."""
        return self._add("deployments", {"patterns": [{"name": pattern, "deployments": [name]}]})

    def add_agent(self, name: str, **fields: Any) -> int:
        """Add an agent and return its id; a ``group`` that does not exist is created."""
        group = fields.get("group")
        groups = [] if group is None else [{"name": group}]
        return self._add("agents", {"agent_groups": groups, "agents": [{"name": name, **fields}]})

    def add_seed(self, seed: dict[str, Any]) -> None:
        """Add all records of a seed; projects, patterns and groups that exist may be named as containers."""
        self._call("POST", "/seed", seed)

    def set_instance(self, instance: int | str, *, project: str | None = None, **change: Any) -> dict[str, Any]:
        """Decide how the next builds of an instance end and how long they take.

        :param instance: id or name.
        :param project: name of its project; needed for a name that several projects have.
        :param change: ``build_seconds`` (None: as the switch says), ``outcome`` (FINISHED, FAILED or CANCELED),
            ``changed`` (True: its metadata was edited, so the next build generates other content).
        :raises ControlError: for an unknown instance or another argument.
        """
        where = "" if project is None else f"?project={quote(project, safe='')}"
        result: dict[str, Any] = self._call("PATCH", f"/instances/{quote(str(instance), safe='')}{where}", change)
        return result

    def set_user(self, email: str, **change: Any) -> dict[str, Any]:
        """Change a user, for example when a password is rotated. Tokens stay valid.

        :param change: ``password``.
        :raises ControlError: for an unknown user or another argument.
        """
        result: dict[str, Any] = self._call("PATCH", f"/users/{quote(email, safe='')}", change)
        return result

    def set_download(self, download_id: int, **change: Any) -> dict[str, Any]:
        """Change the name or the content of a download.

        :param change: ``name`` (any text), ``size`` (bytes of filler; None: the generated file).
        :raises ControlError: for an unknown download or another argument.
        """
        result: dict[str, Any] = self._call("PATCH", f"/downloads/{download_id}", change)
        return result

    def tokens(self) -> list[dict[str, Any]]:
        """Return the tokens issued since the last reset, in full, to search logs and files for them."""
        result: list[dict[str, Any]] = self._call("GET", "/tokens")
        return result

    def expire_tokens(self) -> None:
        """Expire all tokens issued so far."""
        self._call("POST", "/tokens/expire")

    def connections(self) -> dict[str, int]:
        """Return the TCP connections of clients: ``accepted`` so far, ``open`` now; without the control plane's."""
        result: dict[str, int] = self._call("GET", "/connections")
        return result

    def _add(self, table: str, seed: dict[str, Any]) -> int:
        added: dict[str, int] = self._call("POST", "/seed", seed)
        return added[table]

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        request = urllib.request.Request(f"{self.url}/_emulator{path}", data, headers, method=method)  # noqa: S310
        try:
            with self._opener.open(request, timeout=TIMEOUT) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                text = error.read().decode("utf-8", "replace")
        try:
            message = json.loads(text)["message"]
        except (ValueError, KeyError, TypeError):
            message = text
        raise ControlError(message)
