"""Servers to measure clients against, each in a process of its own, and as quick as Python makes it."""

from __future__ import annotations
