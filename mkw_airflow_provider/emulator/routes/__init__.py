"""The endpoints, a module for each subject."""

from __future__ import annotations
