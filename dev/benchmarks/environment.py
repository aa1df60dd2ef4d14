"""The environment for measurements: ``.bench/``, with this package and the other providers in pinned versions."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
HOME = ROOT / ".bench"
VENV = HOME / "venv"
PYTHON = VENV / "bin" / "python"
PINS = ROOT / "dev" / "benchmarks"
UV = ROOT / ".ci" / "uv"
#: The oldest Python that all other providers can be installed on.
OLDEST = (3, 11)


class NoEnvironmentError(Exception):
    """The environment cannot be made; the message says why."""


def is_inside() -> bool:
    """Whether this very process runs in the environment."""
    return Path(sys.prefix) == VENV


def enter(module: str, arguments: Sequence[str]) -> None:
    """Replace this process by a module that runs inside the environment, which is made if necessary.

    :param arguments: its command line.
    :raises SystemExit: if the environment cannot be made, with the reason.
    """
    try:
        make()
    except NoEnvironmentError as error:
        raise SystemExit(str(error)) from None
    os.chdir(ROOT)
    command = [str(PYTHON), "-m", module, *arguments]
    os.execve(PYTHON, command, variables())  # noqa: S606  # the commands are this project's own


def make() -> None:
    """Make the environment, unless it is up to date.

    :raises NoEnvironmentError: this Python is too old for the other providers.
    """
    if sys.version_info[:2] < OLDEST:
        raise NoEnvironmentError(
            f"the other providers need Python {'.'.join(map(str, OLDEST))} or newer, this is {sys.version.split()[0]}"
        )
    stamp, wanted = HOME / "stamp", _fingerprint()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    sys.stderr.write(f"Making {VENV} with this package and the other providers ...\n")
    stamp.unlink(missing_ok=True)
    _run("venv", "--quiet", "--clear", "--python", sys.executable, str(VENV))
    requirements, constraints = PINS / "requirements.txt", PINS / "constraints.txt"
    build = ROOT / "constraints" / "build.txt"
    options = ["--compile-bytecode", f"--requirement={requirements}", f"--constraint={constraints}"]
    options += [f"--build-constraint={build}", "--editable", str(ROOT)]
    _run("pip", "install", "--quiet", "--python", str(PYTHON), *options)
    stamp.write_text(wanted)


def variables() -> dict[str, str]:
    """Return the environment variables for measurements: the caller's, without proxies and Airflow settings."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.lower().endswith("_proxy") and not name.lstrip("_").startswith("AIRFLOW") and name[:6] != "PYTHON"
    }
    return {**kept, "AIRFLOW_HOME": str(HOME / "airflow"), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}


def _fingerprint() -> str:
    """Return what tells one state of the environment's description from another."""
    # Python 3.10 does not have it; it is told above that it is too old.
    import tomllib  # type: ignore[import-not-found,unused-ignore]

    parts = [str(ROOT), sys.version]
    parts += [path.read_text() for path in (UV, PINS / "requirements.txt", PINS / "constraints.txt")]
    parts.append(json.dumps(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _run(*arguments: str) -> None:
    subprocess.run([str(UV), *arguments], check=True, cwd=ROOT)  # noqa: S603  # the commands are this module's own
