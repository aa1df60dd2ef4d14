"""Faults: which requests they hit, and what the client then receives."""

from __future__ import annotations
