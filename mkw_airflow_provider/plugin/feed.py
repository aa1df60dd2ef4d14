"""What the pages know of one connection: few requests to MetaKraftwerk, however many browsers show them."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mkw_airflow_provider.client.flows import ApiSession, Flow
from mkw_airflow_provider.client.settings import Settings
from mkw_airflow_provider.client.token_cache import token_cache_for
from mkw_airflow_provider.client.transports.sync import Client
from mkw_airflow_provider.exceptions import ConfigurationError
from mkw_airflow_provider.get_provider_info import CONNECTION_TYPE
from mkw_airflow_provider.hooks.connection import mask, settings_of, user_agent
from mkw_airflow_provider.hooks.metakraftwerk import MetaKraftwerkHook
from mkw_airflow_provider.plugin.failures import describe_failure

log = logging.getLogger(__name__)

#: Seconds between two requests of one connection.
INTERVAL = 5.0
#: Requests that a connection saves up while no page is open, so that a page is complete when it is opened.
BURST = 6
#: What takes long to read is read again only after this many times as long.
REST = 20.0
#: Seconds that a page waits for another one's request, if it has nothing to show yet.
PATIENCE = 3.0
#: The longest timeouts of a request, in seconds: each occupies a thread of the API server.
LONGEST_CONNECT, LONGEST_READ = 5.0, 15.0
#: What is kept for one connection.
MOST_ENTRIES = 200


@dataclass(frozen=True)
class Resource:
    """Something to read from MetaKraftwerk.

    :param key: tells it from others of the same connection.
    :param max_age: seconds after which it is read again.
    :param flow: reads it.
    """

    key: tuple[Any, ...]
    max_age: float
    flow: Callable[[ApiSession], Flow[Any]]


@dataclass(frozen=True)
class Entry:
    """What was read last.

    :param value: None if nothing has been read yet.
    :param problem: a sentence for people if the last attempt to read it failed.
    :param moment: when, in seconds that never jump; None: not yet.
    :param cost: seconds that reading took.
    """

    value: Any = None
    problem: str = ""
    moment: float | None = None
    cost: float = 0.0

    def is_due(self, max_age: float, now: float) -> bool:
        """Whether it is to be read again."""
        if self.moment is None:
            return True
        return now - self.moment >= (INTERVAL if self.problem else max(max_age, REST * self.cost))


class Feed:
    """What is known of one connection in this process. Many threads use it at the same time.

    :param connection: id of the Airflow connection.
    :param monotonic: seconds that never jump.
    """

    def __init__(self, connection: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.connection = connection
        self.settings: Settings | None = None
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._entries: OrderedDict[tuple[Any, ...], Entry] = OrderedDict()
        self._client: Client | None = None
        self._tokens, self._counted = float(BURST), monotonic()

    def read(self, *resources: Resource) -> list[Entry]:
        """Return what is known of some resources, after reading those that are due as far as requests are left.

        A thread that finds another one reading takes what is there; only if nothing is, it waits for a moment.
        """
        if self._due(resources):
            is_empty = any(self._entry(resource).moment is None for resource in resources)
            if self._lock.acquire(timeout=PATIENCE if is_empty else 0.0):
                try:
                    self._refresh(resources)
                finally:
                    self._lock.release()
        return [self._entry(resource) for resource in resources]

    def peek(self, key: tuple[Any, ...]) -> Any:
        """Return what was read last under a key; None if nothing was."""
        return self._entries.get(key, Entry()).value

    def _entry(self, resource: Resource) -> Entry:
        return self._entries.get(resource.key, Entry())

    def _due(self, resources: Sequence[Resource]) -> list[Resource]:
        now = self._monotonic()
        due = [resource for resource in resources if self._entry(resource).is_due(resource.max_age, now)]
        # What nobody has seen yet comes first, then what was read the longest time ago.
        return sorted(due, key=lambda resource: self._entry(resource).moment or -1.0)

    def _refresh(self, resources: Sequence[Resource]) -> None:
        for resource in self._due(resources):
            if not self._take():
                return
            began = self._monotonic()
            value, problem = self._fetch(resource)
            now = self._monotonic()
            if problem:
                # What was read before is better than nothing; the page says that it may be old.
                value = self._entry(resource).value
            self._entries[resource.key] = Entry(value, problem, now, now - began)
            self._entries.move_to_end(resource.key)
            while len(self._entries) > MOST_ENTRIES:
                self._entries.popitem(last=False)

    def _take(self) -> bool:
        """Return whether a request may be sent now, and count it."""
        now = self._monotonic()
        self._tokens = min(float(BURST), self._tokens + (now - self._counted) / INTERVAL)
        self._counted = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True

    def _fetch(self, resource: Resource) -> tuple[Any, str]:
        try:
            client, session = self._connect()
            return client.run(resource.flow(session)), ""
        except Exception as error:
            problem = describe_failure(error, self.connection)
            # Without a traceback and without the text, which may name hosts: the page says what there is to say.
            log.info("The pages cannot read %s of connection %s: %s", resource.key[0], self.connection, problem)
            return None, problem

    def _connect(self) -> tuple[Client, ApiSession]:
        connection = MetaKraftwerkHook.get_connection(self.connection)
        if connection.conn_type != CONNECTION_TYPE:
            # A DAG names the connection: the password of another system must not be sent anywhere.
            raise ConfigurationError("the connection is of another type")
        settings = settings_of(connection)
        if settings != self.settings or self._client is None:
            for secret in settings.secrets:
                mask(secret)
            if self._client is not None:
                self._client.close()
            self._entries.clear()
            self.settings, self._client = settings, Client(_impatient(settings), user_agent(), mask)
        session = ApiSession(_impatient(settings), token_cache_for(settings), log=log)
        return self._client, session


def _impatient(settings: Settings) -> Settings:
    """Return settings for a person who waits: one attempt, and short timeouts."""
    return replace(
        settings,
        outage_tolerance=0.0,
        connect_timeout=min(settings.connect_timeout, LONGEST_CONNECT),
        read_timeout=min(settings.read_timeout, LONGEST_READ),
    )


_feeds: dict[str, Feed] = {}
_feeds_lock = threading.Lock()


def feed_of(connection: str) -> Feed:
    """Return the feed that all pages of this process share for a connection."""
    with _feeds_lock:
        return _feeds.setdefault(connection, Feed(connection))
