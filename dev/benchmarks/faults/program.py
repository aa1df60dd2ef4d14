"""The server of a measurement in a process of its own, which can be killed and restarted."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import trustme

from mkw_airflow_provider.emulator import Control

if TYPE_CHECKING:
    from typing_extensions import Self

HOST = "127.0.0.1"
START_TIMEOUT = 60.0


def make_certificates(folder: Path) -> None:
    """Write ``authority.pem``, ``good.pem`` of that authority, ``unknown.pem`` of another, and ``shown.pem``."""
    authority, other = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "authority.pem"))
    authority.issue_cert(HOST).private_key_and_cert_chain_pem.write_to_path(str(folder / "good.pem"))
    other.issue_cert(HOST).private_key_and_cert_chain_pem.write_to_path(str(folder / "unknown.pem"))
    shutil.copyfile(folder / "good.pem", folder / "shown.pem")


class ServerProgram:
    """``dev.benchmarks.faults.server`` on a free port. The context manager starts and stops it.

    :param folder: with the certificates; the state goes there, too.
    """

    def __init__(self, folder: Path) -> None:
        self.certificate: Path | None = folder / "shown.pem"
        self._database = folder / "metakraftwerk.db"
        with socket.create_server((HOST, 0)) as free:
            self._port = free.getsockname()[1]
        # Only the measured clients verify its certificate.
        trusting = ssl.create_default_context()
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        self.control = Control(f"https://{HOST}:{self._port}", trusting)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it on the same port with the same state as before.

        :raises RuntimeError: if it does not respond within a minute.
        """
        options = ["--port", str(self._port), "--database", str(self._database), "--certificate", str(self.certificate)]
        self._process = subprocess.Popen([sys.executable, "-m", "dev.benchmarks.faults.server", *options])  # noqa: S603
        deadline = time.monotonic() + START_TIMEOUT
        while not self._serves():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the server did not start")
            time.sleep(0.05)

    def stop(self) -> None:
        """Kill it, as a crash does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _serves(self) -> bool:
        try:
            return bool(self.control.health())
        except OSError:
            return False
