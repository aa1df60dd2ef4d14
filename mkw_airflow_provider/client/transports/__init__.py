"""Send requests and run flows: :mod:`.sync` on requests, :mod:`.aio` on aiohttp."""

from __future__ import annotations
