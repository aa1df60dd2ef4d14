"""``POST /authentication``, and the tokens that it gives, shared by the whole process."""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mkw_airflow_provider.client.request import SENDABLE, Request, Response
from mkw_airflow_provider.client.settings import Settings
from mkw_airflow_provider.exceptions import MetaKraftwerkError, ProtocolError

#: A token is renewed this many seconds before it ends, or after nine tenths of a life that is shorter.
RENEW_AHEAD = 120.0
#: Seconds since the epoch that no token outlives: the year 5138.
FAR_FUTURE = 1e11


@dataclass(frozen=True)
class Token:
    """An access token.

    :param value: what is sent. Never shown.
    :param lifetime: seconds from its making to its end; None where it does not tell.
    :param user_id: whose it is; None where unknown.
    """

    value: str = field(repr=False)
    lifetime: float | None = None
    user_id: int | None = None

    @classmethod
    def of(cls, value: str, user_id: int | None = None) -> Token:
        """Read a JWT's claims. That tokens are JWTs is documented by example only: another text is accepted too."""
        claims = _claims(value)
        begin, end = _epoch(claims.get("iat")), _epoch(claims.get("exp"))
        # The difference is the same on every clock; the moments themselves are the server's.
        lifetime = None if begin is None or end is None else end - begin
        if user_id is None and re.fullmatch("[0-9]{1,18}", str(claims.get("sub"))):
            user_id = int(claims["sub"])
        return cls(value, lifetime, user_id)

    @property
    def good_for(self) -> float | None:
        """Seconds after its making for which it is used without a thought; None: until the server refuses it."""
        if self.lifetime is None or self.lifetime <= 0:
            return None
        return max(self.lifetime - RENEW_AHEAD, self.lifetime * 0.9 if self.lifetime < 10 * RENEW_AHEAD else 0.0)


def _claims(jwt: str) -> Mapping[str, Any]:
    parts = jwt.split(".")
    if len(parts) != 3:
        return {}
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        return {}
    return claims if isinstance(claims, dict) else {}


def _epoch(value: Any) -> float | None:
    """Read a moment of a JWT; None for what cannot be one."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < FAR_FUTURE:
        return float(value)
    return None


def login(settings: Settings) -> Request[Token]:
    """Log in (documented: local strategy, e-mail and password; 201 with ``accessToken`` and ``user``)."""
    body = {"strategy": "local", "email": settings.login, "password": settings.password}
    # Another login does no harm, so a lost answer is met by asking again.
    return Request("POST", "/authentication", _read_token, body=body, retryable=True, authenticated=False)


def _read_token(response: Response) -> Token:
    value = response.json()
    token = value.get("accessToken") if isinstance(value, dict) else None
    if not isinstance(token, str) or not SENDABLE.fullmatch(token):
        # The body is not shown: whatever it is, it may hold a secret.
        raise ProtocolError("the answer to the login has no accessToken that could be sent")
    user = value.get("user")
    user_id = user.get("id") if isinstance(user, dict) else None
    return Token.of(token, user_id if isinstance(user_id, int) else None)


@dataclass
class TokenCache:
    """The token of one user at one server, as this process has it.

    :param token: the newest one.
    :param good_until: monotonic seconds; None: until the server refuses it.
    :param logins: how many logins ended so far, well or not.
    :param failure: why the newest login failed; None if it did not.
    """

    token: Token | None = None
    good_until: float | None = None
    logins: int = 0
    failure: MetaKraftwerkError | None = None

    def current(self, now: float) -> Token | None:
        """Return the token if it is good for a while yet."""
        if self.token is None or (self.good_until is not None and now >= self.good_until):
            return None
        return self.token

    def put(self, token: Token, now: float) -> Token:
        """Keep a new token."""
        good_for = token.good_for
        self.token, self.good_until = token, None if good_for is None else now + good_for
        self.logins, self.failure = self.logins + 1, None
        return token

    def record_failure(self, failure: MetaKraftwerkError) -> None:
        """Remember why a login failed, for those who waited for it."""
        self.logins, self.failure = self.logins + 1, failure


_token_caches: dict[tuple[str, str | None], TokenCache] = {}
_lock = threading.Lock()


def token_cache_for(settings: Settings) -> TokenCache:
    """Return the wallet of a user at a server: one for each in the whole process."""
    with _lock:
        return _token_caches.setdefault((settings.base_url, settings.login), TokenCache())
