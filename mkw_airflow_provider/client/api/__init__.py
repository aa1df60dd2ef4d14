"""One module per resource of the API: functions that return a request, and the dataclasses they read."""

from __future__ import annotations
