"""The sensor that waits for a build."""

from __future__ import annotations
