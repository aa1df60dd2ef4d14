"""The measured programs, each in a process of its own: they read a job as JSON and print their figures."""

from __future__ import annotations
