"""``make dist``: build wheel and sdist, check them, and run the tests of Airflow against the installed wheel."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_bytes
from pathlib import Path

from packaging.metadata import Metadata

ROOT = Path(__file__).parents[1]
DIST = ROOT / "dist"
#: The environment with the wheel, and the folder with the tests but without the package's source.
VENV = ROOT / ".versions" / "wheel"
CHECKOUT = VENV / "checkout"
#: What the wheel must hold besides modules.
NEEDED = ("mkw_airflow_provider/py.typed", "mkw_airflow_provider/get_provider_info.py", "licenses/LICENSE")
#: What the tests of Airflow read. The package itself is not among it.
COPIED = ("tests", "dev", "example_dags", "docs", "pyproject.toml", "README.md", "CHANGELOG.md", ".ci")


class DistError(Exception):
    """What was built is not fit for a release."""


def run(*command: str | Path, cwd: Path = ROOT) -> None:
    """Run a command, and stop with its error.

    :raises DistError: if it fails.
    """
    done = subprocess.run([str(part) for part in command], cwd=cwd, check=False)  # noqa: S603  # commands of this file
    if done.returncode:
        raise DistError(f"{' '.join(map(str, command[:4]))} … failed")


def build() -> tuple[Path, Path]:
    """Build both, and return the paths of the wheel and of the sdist."""
    shutil.rmtree(DIST, ignore_errors=True)
    run(".ci/uv", "build", "--quiet", "--out-dir", DIST, "--build-constraint", "constraints/build.txt")
    return next(DIST.glob("*.whl")), next(DIST.glob("*.tar.gz"))


def check_wheel(wheel: Path) -> str:
    """Check contents and metadata of the wheel.

    :return: its version.
    :raises DistError: for what is missing, or should not be there.
    """
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata_file = next(name for name in names if name.endswith(".dist-info/METADATA"))
        raw = archive.read(metadata_file)
        entry_points = archive.read(metadata_file.replace("METADATA", "entry_points.txt")).decode()
    packaged = {str(path.relative_to(ROOT)) for path in (ROOT / "mkw_airflow_provider").rglob("*") if path.is_file()}
    packaged = {name for name in packaged if "__pycache__" not in name}
    if packaged != {name for name in names if name.startswith("mkw_airflow_provider/")}:
        raise DistError(f"{wheel.name} does not hold the files of mkw_airflow_provider")
    foreign = [name for name in names if not name.startswith(("mkw_airflow_provider/", "mkw_airflow_provider-"))]
    missing = [needed for needed in NEEDED if not any(name.endswith(needed) for name in names)]
    if foreign or missing:
        raise DistError(f"{wheel.name}: not expected: {foreign}; missing: {missing}")
    # Raises for every field that the package index would reject.
    metadata = Metadata.from_email(raw, validate=True)
    if "## " not in (message_from_bytes(raw).get_payload() or metadata.description or ""):
        raise DistError(f"{wheel.name} has no README as its description")
    for group in ("apache_airflow_provider", "pytest11"):
        if f"[{group}]" not in entry_points:
            raise DistError(f"{wheel.name} has no entry point {group}")
    return str(metadata.version)


def check_sdist(sdist: Path) -> None:
    """Check that a wheel can be built from the sdist, and that it holds no environments or results.

    :raises DistError: if not.
    """
    with tarfile.open(sdist) as archive:
        names = [name.partition("/")[2] for name in archive.getnames()]
    if not {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md"} <= set(names):
        raise DistError(f"{sdist.name} is not complete")
    hidden = [name for name in names if re.match(r"\.(venv|uv|versions|bench|chaos|demo)/|docs/_build/", name)]
    if hidden:
        raise DistError(f"{sdist.name} holds {hidden[0]}")


def check_changelog(version: str) -> None:
    """Check that the changelog begins with the version, or with what is not released yet.

    :raises DistError: if it does not.
    """
    first = re.search(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    if first is None or first[1] not in (version, "Unreleased"):
        raise DistError(f"CHANGELOG.md does not begin with {version}")


def run_tests(wheel: Path) -> None:
    """Install the wheel in an environment of its own, and run the tests of Airflow from a folder without its source."""
    run(".ci/uv", "venv", "--quiet", "--clear", "--python", sys.executable, VENV)
    python = VENV / "bin" / "python"
    constraints = ("--constraint", "constraints/airflow-3.3.txt")
    install = (".ci/uv", "pip", "install", "--quiet", "--python", python, *constraints)
    run(*install, f"{wheel}[emulator]", "--group", "airflow", "--group", "test")
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, CHECKOUT / name, ignore=shutil.ignore_patterns("__pycache__", "_build"))
        else:
            shutil.copy(source, CHECKOUT / name)
    origin = "import mkw_airflow_provider as package; assert '/site-packages/' in package.__file__, package.__file__"
    run(".ci/in-own-airflow-home", python, "-c", origin, cwd=CHECKOUT)
    run(".ci/in-own-airflow-home", python, "-m", "pytest", "-q", "-n", "2", "tests/airflow", cwd=CHECKOUT)


def main() -> int:
    """Run all steps."""
    try:
        wheel, sdist = build()
        version = check_wheel(wheel)
        check_sdist(sdist)
        check_changelog(version)
        sys.stdout.write(f"Built {wheel.name} and {sdist.name}.\n")
        if "--no-tests" not in sys.argv:
            run_tests(wheel)
    except DistError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"Version {version} is fit for a release.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
