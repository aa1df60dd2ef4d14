"""The state store of a watched asset, as Airflow 3.3 gives it to a trigger."""

from __future__ import annotations

import json
from typing import Any

from tests.kit.tasks import as_stored


class AssetStore:
    """Keeps JSON by key.

    :param fails: how many of the next calls fail.
    """

    def __init__(self, fails: int = 0) -> None:
        self.kept: dict[str, str] = {}
        self.writes = 0
        self.fails = fails

    async def aget(self, key: str, default: Any = None) -> Any:
        self._fail()
        return json.loads(self.kept[key]) if key in self.kept else default

    async def aset(self, key: str, value: Any) -> None:
        self._fail()
        self.writes += 1
        self.kept[key] = as_stored(value)

    def _fail(self) -> None:
        if self.fails:
            self.fails -= 1
            raise RuntimeError("the database is locked")
