"""Start and stop a real Airflow and the emulator on this machine; used by all of `dev` and the end-to-end tests."""

from __future__ import annotations
