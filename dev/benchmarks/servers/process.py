"""A server in a process of its own, for as long as a ``with`` block lasts."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dev.benchmarks.servers.certificates import Authority


class ServerProcess:
    """A running server.

    :param url: its address.
    :param authority: the signer of its certificate; None for plain HTTP, or if the environment trusts the signer.
    """

    def __init__(self, url: str, authority: Authority | None) -> None:
        self.url = url
        context = ssl.create_default_context(cafile=str(authority.bundle)) if authority else None
        # The proxies of the environment are not for this machine.
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), *([urllib.request.HTTPSHandler(context=context)] if context else [])
        )

    def counts(self) -> dict[str, int]:
        """Return the counts of requests so far."""
        counts: dict[str, int] = self.read("/counts")
        return counts

    def read(self, path: str) -> Any:
        """Return what the server says about itself under a path."""
        with self._opener.open(f"{self.url}{path}", timeout=60) as response:
            return json.load(response)


@contextmanager
def serving(module: str, authority: Authority | None = None, **options: Any) -> Iterator[ServerProcess]:
    """Run a server of :mod:`dev.benchmarks.servers`.

    :param module: its name.
    :param authority: the signer of its certificate; None: plain HTTP.
    :param options: options of its command line.
    """
    command = [sys.executable, "-m", f"dev.benchmarks.servers.{module}"]
    command += [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    if authority is not None:
        command.append(f"--certificate={authority.certificate}")
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603
    assert process.stdin is not None  # noqa: S101  # both are pipes
    assert process.stdout is not None  # noqa: S101
    try:
        url = process.stdout.readline().strip()
        if not url:
            raise RuntimeError(f"{' '.join(command)} did not start: it ended with {process.wait()}")
        yield ServerProcess(url, authority)
    finally:
        process.stdin.close()
        process.stdout.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
