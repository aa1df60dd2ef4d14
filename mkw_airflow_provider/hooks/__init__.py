"""The hook: MetaKraftwerk for Python callables in a DAG."""

from __future__ import annotations
