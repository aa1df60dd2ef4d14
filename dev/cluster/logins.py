"""What a login costs a task that has a connection to the server already."""

from __future__ import annotations

import time

import requests

from dev.cluster.site import Site

COUNT = 200


def measure(site: Site) -> dict[str, float]:
    """Return the milliseconds that a login takes, and those of CPU that it costs the client."""
    body = {"strategy": "local", "email": site.control.connection["login"], "password": site.passwords[-1]}
    with requests.Session() as session:
        session.trust_env = False
        session.get(f"{site.control.url}/_emulator/health", timeout=30).raise_for_status()
        began, cpu = time.perf_counter(), time.process_time()
        for _ in range(COUNT):
            session.post(f"{site.control.url}/authentication", json=body, timeout=30).raise_for_status()
        return {
            "milliseconds": round(1000 * (time.perf_counter() - began) / COUNT, 2),
            "cpu_milliseconds": round(1000 * (time.process_time() - cpu) / COUNT, 2),
        }
