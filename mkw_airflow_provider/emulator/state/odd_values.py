"""Odd values in builds: what JSON can carry, but databases, logs and serializers cannot."""

from __future__ import annotations

from typing import Any

# Deep enough to exhaust recursive serializers, shallow enough for JSON parsers.
DEPTH = 500

LARGE = 10 * 1024 * 1024

FORGED_LINE = "done\r\n[2026-01-01T00:00:00.000+0000] ERROR - forged log line\n\x1b[31mred\x1b[0m\u2028next\u0085\t."


def _nest(depth: int) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for _ in range(depth):
        nested = {"inner": nested}
    return nested


def add_odd_values(build: dict[str, Any], kind: str) -> dict[str, Any]:
    """Return a build with odd values in its texts and numbers, and in a field that is not documented.

    :param build: the build as the API shows it.
    :param kind: the value of the switch ``odd_values``.
    """
    if kind == "off":
        return build
    fields: dict[str, dict[str, Any]] = {
        "surrogates": {"message": "cut \ud83d", "name": "\udc00", "description": "night \ud83d"},
        "nul": {"message": "before\x00after", "description": "\x00"},
        "nan": {"progress": float("nan"), "mts": float("inf"), "ratio": float("-inf")},
        "huge_integers": {"version": 2**64, "mts": 10**400, "customer_id": -(2**70)},
        "nested": {"settings": _nest(DEPTH)},
        "line_breaks": {"message": FORGED_LINE, "description": FORGED_LINE},
    }
    if kind == "large_message":
        return build | {"message": "x" * LARGE}
    if kind != "all":
        return build | fields[kind]
    message = FORGED_LINE + fields["surrogates"]["message"] + fields["nul"]["message"]
    everything: dict[str, Any] = {name: value for values in fields.values() for name, value in values.items()}
    return build | everything | {"message": message, "description": message}
