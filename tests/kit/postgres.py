"""A PostgreSQL server in a folder of its own, on a free port of the loopback interface."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

#: PostgreSQL does not run as root; Debian's packages create a user for it.
USER = "postgres" if os.geteuid() == 0 else None


def _program(name: str) -> str | None:
    places = [str(path) for path in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    return shutil.which(name, path=os.pathsep.join([*places, os.environ.get("PATH", "")]))


needs_postgres = pytest.mark.skipif(
    not (_program("initdb") and _program("pg_ctl")), reason="PostgreSQL is not installed"
)


@contextmanager
def postgres() -> Iterator[str]:
    """Run a server while the block lasts.

    :return: user, host and name of an empty database, as in a URL.
    """
    # Not below pytest's folders, which are closed to other users.
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    if USER is not None:
        shutil.chown(folder, USER)
    data = folder / "data"
    _run("initdb", "-A", "trust", "-U", "airflow", "--no-sync", "-D", data)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
    _run("pg_ctl", "-D", data, "-l", folder / "log", "-w", "-o", options, "start")
    try:
        yield f"airflow@127.0.0.1:{port}/postgres"
    finally:
        _run("pg_ctl", "-D", data, "-w", "-m", "immediate", "stop")
        shutil.rmtree(folder)


def _run(program: str, *arguments: object) -> None:
    command = [str(_program(program)), *map(str, arguments)]
    environment = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8", "USER": USER or getpass.getuser()}
    # A server that keeps the pipe of its starter open would never let it end.
    with open(os.devnull, "w") as nowhere:
        subprocess.run(
            command, check=True, stdout=nowhere, stderr=nowhere, user=USER, group=USER, env=environment, cwd="/"
        )
