"""What the emulator knows, without HTTP: the database, the switches, the rules of builds and deployments."""

from __future__ import annotations
