"""Files on any file system: atomic writes, the manifest, checksums."""

from __future__ import annotations
