"""Logins: check passwords, refuse them as the switches say, lock accounts after refused logins."""

from __future__ import annotations

import time

from mkw_airflow_provider.emulator.state import errors
from mkw_airflow_provider.emulator.state.errors import ApiError
from mkw_airflow_provider.emulator.state.store import Row, Store
from mkw_airflow_provider.emulator.state.switches import Switches


class Logins:
    """The refused logins of each account, kept in memory.

    :param store: the database with the users.
    :param switches: the switches that refuse logins and lock accounts.
    """

    def __init__(self, store: Store, switches: Switches) -> None:
        self._store = store
        self._switches = switches
        self._refused: dict[str, int] = {}
        self._locked_until: dict[str, float] = {}

    def check(self, email: str, password: str) -> Row:
        """Return the user with this e-mail and password.

        :raises ApiError: 401 for a wrong password, a locked account, or while the switch ``login_refused`` is on.
        """
        if self._locked_until.get(email, 0.0) > time.monotonic():
            raise ApiError(401, errors.ACCOUNT_LOCKED)
        user = self._store.one("SELECT * FROM users WHERE email = ? AND password = ?", email, password)
        if user is not None and not self._switches.login_refused:
            self._refused.pop(email, None)
            return user
        count = self._refused[email] = self._refused.get(email, 0) + 1
        if 0 < self._switches.login_lockout_after <= count:
            self._locked_until[email] = time.monotonic() + self._switches.login_lockout_seconds
            self._refused.pop(email)
        raise ApiError(401, errors.INVALID_LOGIN)

    def clear(self) -> None:
        """Unlock all accounts."""
        self._refused.clear()
        self._locked_until.clear()
