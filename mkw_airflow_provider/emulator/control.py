"""The control of an emulator that runs elsewhere: switches, faults, its log and its state, over HTTP."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlencode, urlsplit

from mkw_airflow_provider.emulator.users import USERS

TIMEOUT = 60.0


class ControlError(ValueError):
    """The emulator refused an order; the message says why."""


class Control:
    """
    Steers an emulator and reads what happened there.

    :param url: the emulator's URL, such as ``http://127.0.0.1:8099``.
    :param ssl_context: how to check its certificate, for an https URL.
    """

    def __init__(self, url: str, ssl_context: ssl.SSLContext | None = None) -> None:
        self.url = url.rstrip("/")
        # Proxies of the environment are for the world outside.
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
        """An Airflow connection for the seeded user who may do everything: demo@example.com."""
        return self.connection_for("demo@example.com")

    def connection_for(self, email: str) -> dict[str, Any]:
        """
        An Airflow connection for a seeded user, as the dictionary that Airflow reads from JSON.

        :param email: demo@example.com, viewer@example.com or outsider@example.com.
        :raises ValueError: for any other.
        """
        users = {user.email: user for user in USERS}
        if email not in users:
            raise ValueError(f"There is no user {email}. Users: {', '.join(users)}")
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
        """
        Whether it is up: ``status`` and its ``time``.

        :raises OSError: if it is not.
        """
        answer: dict[str, Any] = self._call("GET", "/health")
        return answer

    def reset(self) -> None:
        """Back to the seed: rows, request log, faults, and the switches that it was started with. Tokens stay valid."""
        self._call("POST", "/reset")

    def set(self, **switches: Any) -> dict[str, Any]:
        """
        Set some switches, all or none of them.

        :returns: all switches.
        :raises ControlError: for an unknown name or a value that is not allowed.
        """
        answer: dict[str, Any] = self._call("PATCH", "/switches", switches)
        return answer

    def switches(self) -> dict[str, Any]:
        """All switches by name."""
        answer: dict[str, Any] = self._call("GET", "/switches")
        return answer

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
        """
        Let some requests be answered wrongly. The first fault that fits a request acts on it.

        :param action: status, reset, close, delay, truncate, trickle, endless, nested, redirect or expired.
        :param method: HTTP method, or ``*``.
        :param path: glob on the path; ``*`` also matches slashes.
        :param times: act on so many requests; None without limit. Where ``seconds`` is given, 1 is no limit.
        :param skip: let so many matching requests pass first.
        :param seconds: act for so long from the first hit on.
        :param arguments: the action's own, such as ``status=502``.
        :returns: the fault, with its id.
        :raises ControlError: for an unknown action or argument.
        """
        order = {
            "method": method,
            "path": path,
            "skip": skip,
            "seconds": seconds,
            "action": {"type": action, **arguments},
            "times": None if seconds is not None and times == 1 else times,
        }
        answer: dict[str, Any] = self._call("POST", "/faults", order)
        return answer

    def faults(self) -> list[dict[str, Any]]:
        """All faults that are set, with their hits."""
        answer: list[dict[str, Any]] = self._call("GET", "/faults")
        return answer

    def clear_faults(self) -> None:
        """Remove all faults."""
        self._call("DELETE", "/faults")

    def requests(self, method: str | None = None, path: str | None = None) -> list[dict[str, Any]]:
        """
        The requests that arrived, oldest first, without those of this control.

        Each has ``id``, ``time``, ``method``, ``path``, ``query`` (pairs), ``headers`` (lower case), ``body``,
        ``authorized``, ``user_id``, ``status`` (None: no answer yet, or none at all), ``fault`` and ``seconds``.

        :param method: only this method.
        :param path: only paths that match this glob.
        """
        query = {name: value for name, value in (("method", method), ("path", path)) if value is not None}
        answer: list[dict[str, Any]] = self._call("GET", f"/requests?{urlencode(query)}")
        return answer

    def clear_requests(self) -> None:
        """Empty the log of requests."""
        self._call("DELETE", "/requests")

    def builds(self) -> list[dict[str, Any]]:
        """All builds, with ``project``, ``user``, ``instance_names`` and more that the API does not show."""
        answer: list[dict[str, Any]] = self._call("GET", "/builds")
        return answer

    def start_build(
        self,
        project: str = "DEMO_PROJECT",
        instances: list[str | int] | None = None,
        user: str = "demo",
        description: str | None = None,
    ) -> dict[str, Any]:
        """
        Start a build as a person does in the web application.

        :param instances: names or ids; AIRPLANE if left out.
        :param user: user name.
        :raises ControlError: for an unknown project, instance or user.
        """
        order = {"project": project, "instances": instances or ["AIRPLANE"], "user": user, "description": description}
        answer: dict[str, Any] = self._call("POST", "/builds", order)
        return answer

    def end_build(self, build_id: int, status: str = "CANCELED", message: str | None = None) -> dict[str, Any]:
        """
        End a running build now, as a person does in the web application.

        :param status: FINISHED, FAILED or CANCELED.
        :param message: the build's last message; None for a usual one.
        :raises ControlError: if it has ended already, or does not exist.
        """
        answer: dict[str, Any] = self._call("POST", f"/builds/{build_id}/end", {"status": status, "message": message})
        return answer

    def delete_build(self, build_id: int) -> None:
        """
        Let a build vanish with its downloads and deployments.

        :raises ControlError: if it does not exist.
        """
        self._call("DELETE", f"/builds/{build_id}")

    def build_deployments(self) -> list[dict[str, Any]]:
        """All build deployments, with their ``status`` and whether they are ``automatic``."""
        answer: list[dict[str, Any]] = self._call("GET", "/build_deployments")
        return answer

    def downloads(self) -> list[dict[str, Any]]:
        """All downloads, those of unfinished builds too, with ``downloaded``, the count of whole transfers."""
        answer: list[dict[str, Any]] = self._call("GET", "/downloads")
        return answer

    def set_instance(self, instance_id: int, **change: Any) -> dict[str, Any]:
        """
        Say how the next builds with an instance go.

        :param change: ``build_seconds`` (None: as the switch says), ``outcome`` (FINISHED, FAILED or CANCELED).
        :raises ControlError: for an unknown instance or another argument.
        """
        answer: dict[str, Any] = self._call("PATCH", f"/instances/{instance_id}", change)
        return answer

    def set_download(self, download_id: int, **change: Any) -> dict[str, Any]:
        """
        Give a download another name or another content.

        :param change: ``name`` (any text), ``size`` (bytes of filler; None: the generated file).
        :raises ControlError: for an unknown download or another argument.
        """
        answer: dict[str, Any] = self._call("PATCH", f"/downloads/{download_id}", change)
        return answer

    def tokens(self) -> list[dict[str, Any]]:
        """The tokens issued since the last reset, in full: to search logs and files for them."""
        answer: list[dict[str, Any]] = self._call("GET", "/tokens")
        return answer

    def expire_tokens(self) -> None:
        """Let all tokens issued so far expire now."""
        self._call("POST", "/tokens/expire")

    def connections(self) -> dict[str, int]:
        """TCP connections of clients: ``accepted`` so far and ``open`` now. Those of controls are not counted."""
        answer: dict[str, int] = self._call("GET", "/connections")
        return answer

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
