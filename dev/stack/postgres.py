"""A PostgreSQL server in a folder of its own, on a free port of the loopback interface."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from dev.stack import settings

#: PostgreSQL does not run as root; Debian's packages create a user for it.
USER = "postgres" if os.geteuid() == 0 else None


def is_installed() -> bool:
    """Whether PostgreSQL is there."""
    return bool(_program("initdb") and _program("pg_ctl"))


class PostgresServer:
    """A server with the empty database `postgres` of the user `airflow`, who needs no password.

    :param folder: its folder, which other users must be able to reach if this process runs as root.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._data = self._folder / "data"
        self._port = settings.free_port()

    @property
    def address(self) -> str:
        """User, host and name of the database, as in a URL."""
        return f"airflow@{settings.HOST}:{self._port}/postgres"

    @property
    def pid(self) -> int:
        """The process id of the server, which forks the others."""
        return int((self._data / "postmaster.pid").read_text().split()[0])

    def start(self) -> None:
        """Create the database and start the server; what was in the folder is deleted."""
        self.delete()
        self._folder.mkdir(parents=True, mode=0o700)
        if USER is not None:
            shutil.chown(self._folder, USER)
        _run("initdb", "-A", "trust", "-U", "airflow", "--no-sync", "-D", self._data)
        self.resume()

    def resume(self) -> None:
        """Start the server with the database as it is."""
        options = f"-p {self._port} -k {self._folder} -c listen_addresses={settings.HOST} -c fsync=off"
        options += " -c max_connections=300"
        _run("pg_ctl", "-D", self._data, "-l", self._folder / "log", "-w", "-o", options, "start")

    def stop(self, mode: str = "fast") -> None:
        """Stop the server if it is running.

        :param mode: `fast` to end all sessions first, `immediate` to end as in a crash.
        """
        if (self._data / "postmaster.pid").exists():
            _run("pg_ctl", "-D", self._data, "-w", "-m", mode, "stop", check=False)

    def delete(self) -> None:
        """Stop the server and delete its folder."""
        self.stop("immediate")
        shutil.rmtree(self._folder, ignore_errors=True)


@contextmanager
def postgres() -> Iterator[str]:
    """Run a server while the block lasts.

    :return: user, host and name of an empty database, as in a URL.
    """
    # Not below pytest's folders, which are closed to other users.
    server = PostgresServer(Path(mkdtemp(prefix="postgres-")))
    try:
        server.start()
        yield server.address
    finally:
        server.delete()


def _program(name: str) -> str | None:
    places = [str(path) for path in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    return shutil.which(name, path=os.pathsep.join([*places, os.environ.get("PATH", "")]))


def _run(program: str, *arguments: object, check: bool = True) -> None:
    command = [str(_program(program)), *map(str, arguments)]
    environment = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8", "USER": USER or getpass.getuser()}
    # A server that keeps the pipe of its starter open would never let it end.
    with open(os.devnull, "w") as nowhere:
        subprocess.run(  # noqa: S603 - the programs are PostgreSQL's own
            command, check=check, stdout=nowhere, stderr=nowhere, user=USER, group=USER, env=environment, cwd="/"
        )
