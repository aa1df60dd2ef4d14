"""The providers that this one is compared with, in the versions that ``requirements.txt`` names."""

from __future__ import annotations
