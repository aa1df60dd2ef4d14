"""The access tokens of this process, shared by everybody who uses the same server, user and password."""

from __future__ import annotations

import hashlib
from typing import TypeAlias

from mkw_airflow_provider.client.api.authentication import Token
from mkw_airflow_provider.client.retry import Failure
from mkw_airflow_provider.client.settings import Settings
from mkw_airflow_provider.exceptions import MetaKraftwerkError

#: Seconds for which refused credentials are not sent again: a thousand waits must not lock the account.
REFUSAL_REMEMBERED = 60.0

Key: TypeAlias = tuple[str, str | None, str]


class TokenCache:
    """The token of one user on one server, and how the last login went. Moments are monotonic seconds.

    :param token: the newest token; None after the server refused it.
    """

    def __init__(self, token: Token | None = None) -> None:
        self._token = token
        self._renew_at: float | None = None
        self._refusal: tuple[MetaKraftwerkError, float] | None = None
        #: How many logins have ended, whatever their outcome.
        self.logins = 0
        #: The temporary failure of the last login; None if it succeeded or was refused.
        self.failure: Failure | None = None

    def __repr__(self) -> str:
        return f"<TokenCache of {self.logins} logins>"

    def current(self, now: float) -> Token | None:
        """Return the token, unless it is about to expire."""
        return None if self._renew_at is not None and now >= self._renew_at else self._token

    def store(self, token: Token, now: float) -> Token:
        """Store the token of a login."""
        self._token, self._renew_at = token, None if token.good_for is None else now + token.good_for
        self.logins, self.failure, self._refusal = self.logins + 1, None, None
        return token

    def discard(self, token: Token) -> None:
        """Forget a token that the server has refused, if it is still the newest one."""
        if self._token is token:
            self._token = None

    def record_failure(self, failure: Failure) -> None:
        """Record that a login failed for the moment, for those who waited for it."""
        self.logins, self.failure = self.logins + 1, failure

    def record_refusal(self, error: MetaKraftwerkError, now: float) -> None:
        """Record that the server has refused the credentials."""
        self.logins, self.failure, self._refusal = self.logins + 1, None, (error, now + REFUSAL_REMEMBERED)

    def refusal(self, now: float) -> MetaKraftwerkError | None:
        """Return why the credentials were refused less than a minute ago; None if they were not."""
        if self._refusal is None or now >= self._refusal[1]:
            return None
        error = self._refusal[0]
        # Each caller raises an error of its own, because raising adds a traceback to it.
        return type(error)(*error.args)


_caches: dict[Key, TokenCache] = {}


def cache_key(settings: Settings) -> Key:
    """Return what callers must have in common to share a token. The password counts, but is not kept."""
    secret = settings.token or settings.password or ""
    return settings.base_url, settings.login, hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def token_cache_for(settings: Settings) -> TokenCache:
    """Return this process's cache for a server, user and password."""
    return _caches.setdefault(cache_key(settings), TokenCache())
