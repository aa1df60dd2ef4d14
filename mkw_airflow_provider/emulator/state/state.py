"""The state of an emulator: its database, switches and request log."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from mkw_airflow_provider.emulator.state import seed
from mkw_airflow_provider.emulator.state.default_seed import make_default_seed
from mkw_airflow_provider.emulator.state.logins import Logins
from mkw_airflow_provider.emulator.state.request_log import RequestLog
from mkw_airflow_provider.emulator.state.store import Store, iso, now
from mkw_airflow_provider.emulator.state.switches import Switches


class State:
    """The database, the switches and the request log.

    :param database: a file's path, or ``:memory:``.
    :param switches: switches other than their defaults; a reset returns to them.
    :param seed_document: a seed whose form has been checked; None for the default one.
    :param log_requests: write a line for each request on the package's logger.
    :raises ValueError: for an unknown switch, a value that is not allowed, or a seed that contradicts itself.
    """

    def __init__(
        self,
        database: str,
        switches: Mapping[str, Any],
        *,
        seed_document: dict[str, Any] | None = None,
        log_requests: bool = False,
    ) -> None:
        self.switches = Switches()
        self.switches.change(**switches)
        self._initial = self.switches.to_dict()
        self.store = Store(database)
        self.logins = Logins(self.store, self.switches)
        self.log = RequestLog(self.store, echo=log_requests)
        self._seed = make_default_seed() if seed_document is None else seed_document
        self._waiting: set[asyncio.Future[None]] = set()
        if not self.store.one("SELECT 1 FROM settings"):
            seed.load(self.store, self._seed)

    def reset(self) -> None:
        """Restore the seed: rows, request log and switches. Tokens stay valid."""
        # A client that has cached a token must not get a 401 that no test asked for.
        self.store.clear(keep=("settings", "tokens"))
        self.store.execute("UPDATE tokens SET earlier = 1")
        seed.load(self.store, self._seed)
        self.logins.clear()
        self.switches.change(**self._initial)
        self.builds_changed()

    def server_time(self, milliseconds: int) -> int:
        """Return a moment as the server's clock shows it, see the switch ``clock_skew_seconds``."""
        return milliseconds + int(self.switches.clock_skew_seconds * 1000)

    def timestamp(self, milliseconds: int) -> str:
        """Return a moment as the API writes it."""
        return iso(self.server_time(milliseconds))

    def is_new(self, milliseconds: int, seconds: float) -> bool:
        """Tell whether a row that was created at this moment is younger than these seconds."""
        return seconds > 0 and now() < milliseconds + seconds * 1000

    def builds_changed(self) -> None:
        """Wake the requests that wait for a build, because a person changed or removed one."""
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)

    async def wait_for_change(self, seconds: float) -> None:
        """Return after these seconds, or when a person changes a build."""
        # One future per request: they belong to the server's loop, which the state outlives.
        waiting = asyncio.get_running_loop().create_future()
        self._waiting.add(waiting)
        try:
            await asyncio.wait({waiting}, timeout=seconds)
        finally:
            self._waiting.discard(waiting)
