"""The server below the API: connections, requests and responses, start and stop."""

from __future__ import annotations
