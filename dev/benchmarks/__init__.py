"""What the figures in the documentation come from. ``python -m dev.benchmarks`` measures them all side by side."""

from __future__ import annotations
