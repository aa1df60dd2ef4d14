"""A PostgreSQL server for tests, which are skipped without the program."""

from __future__ import annotations

import pytest

from dev.stack.postgres import is_installed, postgres

__all__ = ["needs_postgres", "postgres"]

needs_postgres = pytest.mark.skipif(not is_installed(), reason="PostgreSQL is not installed")
