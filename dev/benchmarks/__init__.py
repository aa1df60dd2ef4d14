"""Benchmarks: the figures in the documentation come from ``python -m dev.benchmarks``."""

from __future__ import annotations
