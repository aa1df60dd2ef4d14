"""What happens to the cluster while waits are deferred."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from dev.cluster.site import Site

#: Seconds that each part is away.
FROZEN_SECONDS = 25.0
POSTGRES_SECONDS = 15.0
REDIS_SECONDS = 5.0
SERVER_SECONDS = 30.0
#: Seconds of maintenance while a person changes the password on the server and in Airflow.
ROTATION_SECONDS = 10.0
#: Seconds until a request to start a build must have come.
MOMENT_TIMEOUT = 120.0

EndBuilds = Callable[[], None]
"""Ends the builds that end during a fault."""


@dataclass(frozen=True)
class Fault:
    """A fault of the whole cluster.

    :param text: what the report calls it.
    :param inject: makes it happen, calls its second argument at the worst moment, and returns when the fault is over.
    :param short: whether the short form includes it.
    """

    text: str
    inject: Callable[[Site, EndBuilds], None]
    short: bool = False


def _kill_triggerer(site: Site, end_builds: EndBuilds) -> None:
    site.stack.kill(busiest_triggerer(site))
    end_builds()


def _freeze_triggerer(site: Site, end_builds: EndBuilds) -> None:
    program = site.stack.program(busiest_triggerer(site))
    members = program.members()
    try:
        _send(signal.SIGSTOP, members)
        end_builds()
        site.stopped.wait(FROZEN_SECONDS)
    finally:
        _send(signal.SIGCONT, members)


def _restart_redis(site: Site, end_builds: EndBuilds) -> None:
    site.cluster.redis.stop()
    end_builds()
    site.stopped.wait(REDIS_SECONDS)
    site.cluster.redis.start()


def _restart_postgres(site: Site, end_builds: EndBuilds) -> None:
    site.cluster.postgres.stop()
    end_builds()
    site.stopped.wait(POSTGRES_SECONDS)
    site.cluster.postgres.resume()


def _stop_server(site: Site, end_builds: EndBuilds) -> None:
    site.emulator.kill()
    site.stopped.wait(SERVER_SECONDS)
    site.emulator.restart()
    end_builds()


def _revoke_tokens(site: Site, end_builds: EndBuilds) -> None:
    site.control.expire_tokens()
    site.revocations += 1
    end_builds()


def _rotate_password(site: Site, end_builds: EndBuilds) -> None:
    password = f"rotated-password-{len(site.passwords)}"
    # A refused login fails a task for good, so the change takes place while the server is in maintenance.
    site.control.fault("status", status=503, headers={"Retry-After": "1"}, times=None, seconds=ROTATION_SECONDS)
    site.control.set_user(site.control.connection["login"], password=password)
    site.control.expire_tokens()
    site.revocations += 1
    site.passwords.append(password)
    end_builds()
    site.write_connection()
    site.stopped.wait(ROTATION_SECONDS)


FAULTS = (
    Fault("triggerer killed (SIGKILL)", _kill_triggerer, short=True),
    Fault(f"triggerer frozen for {FROZEN_SECONDS:.0f} s (SIGSTOP, SIGCONT)", _freeze_triggerer),
    Fault(f"Redis away for {REDIS_SECONDS:.0f} s, its queues lost", _restart_redis),
    Fault(f"MetaKraftwerk away for {SERVER_SECONDS:.0f} s", _stop_server),
    Fault("all tokens revoked", _revoke_tokens),
    Fault(f"password rotated, tokens revoked, within {ROTATION_SECONDS:.0f} s of maintenance", _rotate_password),
    Fault(f"PostgreSQL away for {POSTGRES_SECONDS:.0f} s", _restart_postgres),
)


def busiest_triggerer(site: Site) -> str:
    """Return the triggerer with the most waits: Airflow does not balance them."""
    waits = site.database.waits()
    return max(site.stack.components("triggerer"), key=lambda name: waits.get(name, 0))


def kill_worker_during_start(site: Site, dag_id: str, run_id: str) -> str | None:
    """Kill a Celery worker with everything that it runs while the server holds a request to start a build.

    :return: the worker; None: the moment did not come.
    """
    # The server processes the request immediately and takes its time to respond.
    site.control.fault("trickle", method="POST", path="/api/v1/builds", times=1, bytes_per_second=10.0)
    deadline = time.monotonic() + MOMENT_TIMEOUT
    while time.monotonic() < deadline:
        for request in site.control.requests("POST", "/api/v1/builds"):
            found = re.search(rf"{re.escape(run_id)}_(\d+)\b", str((request["body"] or {}).get("description")))
            if request["seconds"] is None and found:
                worker = site.database.worker(dag_id, run_id, "start_build", int(found[1]))
                site.stack.kill(worker)
                return worker
        site.stopped.wait(0.2)
    return None


def _send(number: signal.Signals, pids: set[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
