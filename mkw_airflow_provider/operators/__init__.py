"""Operators that start, download and deploy builds."""

from __future__ import annotations
