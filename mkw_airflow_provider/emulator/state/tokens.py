"""Access tokens: HS256 JWTs as FeathersJS issues them. The database stores each one, so tests can expire them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import uuid
from dataclasses import dataclass
from typing import Any

from mkw_airflow_provider.emulator.state.store import Row, Store, now


@dataclass(frozen=True)
class Caller:
    """The sender of a request.

    :param user: the user's row, or None without a valid token.
    :param expired: the token was valid once.
    """

    user: Row | None
    expired: bool = False


def issue(store: Store, user_id: int, seconds: float, skew: float = 0.0) -> str:
    """Issue a token for a user.

    :param seconds: how long it is valid.
    :param skew: seconds by which the server's clock is ahead.
    """
    issued = now()
    expires = issued + int(seconds * 1000)
    secret = store.one("SELECT value FROM settings WHERE name = 'token_secret'")
    claims = {
        "iat": int(issued / 1000 + skew),
        "exp": int(issued / 1000 + skew) + int(seconds),
        "aud": "https://app.metakraftwerk.com",
        "sub": str(user_id),
        "jti": str(uuid.uuid4()),
    }
    signed = f"{_encode({'alg': 'HS256', 'typ': 'access'})}.{_encode(claims)}"
    key = str(secret["value"] if secret else "").encode()
    signature = hmac.new(key, signed.encode(), hashlib.sha256).digest()
    token = f"{signed}.{_base64(signature)}"
    store.insert("tokens", {"token": token, "user_id": user_id, "issued": issued, "expires": expires})
    return token


def find_caller(store: Store, authorization: str | None) -> Caller:
    """Return the caller that an Authorization header names.

    :param authorization: the header's value, ``Bearer <token>``.
    """
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer":
        return Caller(None)
    row = store.one(
        "SELECT users.*, expires FROM tokens JOIN users ON users.id = user_id WHERE token = ?", token.strip()
    )
    if row is None:
        return Caller(None)
    return Caller(None, expired=True) if row["expires"] <= now() else Caller(row)


def _encode(part: dict[str, Any]) -> str:
    return _base64(json.dumps(part, separators=(",", ":")).encode())


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
