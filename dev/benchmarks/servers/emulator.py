"""The emulator in a process of its own, for measurements that need the rules of the API."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mkw_airflow_provider.emulator import Control


@contextmanager
def run_emulator(*, seed: Path | None = None, **switches: Any) -> Iterator[Control]:
    """Run an emulator.

    :param seed: a file with the records that it starts with.
    :param switches: switches to set first.
    """
    command = [sys.executable, "-m", "mkw_airflow_provider.emulator", "--port", "0"]
    command += [] if seed is None else ["--seed", str(seed)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603  # a fixed command
    assert process.stdout is not None  # noqa: S101
    try:
        found = re.search(r"http://\S+", process.stdout.readline())
        if not found:
            raise RuntimeError(f"the emulator did not start: it ended with {process.wait()}")
        control = Control(found[0])
        control.set(**switches)
        yield control
    finally:
        process.terminate()
        process.stdout.close()
        process.wait(10)
