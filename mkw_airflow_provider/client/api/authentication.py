"""``POST /authentication``, and the token that it returns."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mkw_airflow_provider.client.known_secrets import remember_secrets
from mkw_airflow_provider.client.request import SENDABLE, Request, Response
from mkw_airflow_provider.client.settings import Settings
from mkw_airflow_provider.exceptions import ProtocolError

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
    # Another login does no harm, so a login without a response is sent again.
    return Request(
        "POST", "/authentication", _read_token, body=body, retryable=True, authenticated=False, is_confidential=True
    )


def _read_token(response: Response) -> Token:
    value = response.json_or_none()
    token = value.get("accessToken") if isinstance(value, dict) else None
    if not isinstance(token, str) or not SENDABLE.fullmatch(token):
        # Whatever the body is, it may hold a token that nobody has read yet: it is never shown.
        raise ProtocolError(f"the response to the login ({response.described}) has no accessToken that could be sent")
    remember_secrets(token)
    user = value.get("user")
    user_id = user.get("id") if isinstance(user, dict) else None
    is_id = isinstance(user_id, int) and not isinstance(user_id, bool) and user_id > 0
    return Token.of(token, user_id if is_id else None)
