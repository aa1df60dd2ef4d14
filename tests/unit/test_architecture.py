"""The house is as its plan says: what imports what, how long files are, what is loaded when."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.kit import imports

ROOT = Path(__file__).parents[2]
PACKAGE = "mkw_airflow_provider"
PRODUCT = sorted((ROOT / PACKAGE).rglob("*.py"))
#: Everything that people read in this repository, as far as it is there.
PEOPLE_READ = [
    path
    for folder in (PACKAGE, "tests", "dev", "example_dags", "docs")
    for path in sorted((ROOT / folder).rglob("*"))
    if path.suffix in {".py", ".md", ".rst", ".sh", ".toml", ".sql"} and "_build" not in path.parts
]
LONGEST_FILE = 350

#: From the ground up; what stands in one row may use what is below it, and its own row.
FLOORS = [
    {"client.text"},
    {"", "exceptions", "get_provider_info", "safe_values", "version_compat", "selection"},
    {"client", "client.request", "client.settings", "client.validation", "client.flows.polling"},
    {"client.transports", "client.transports.network", "client.model", "client.storage"},
    {"client.rows"},
    {"client.api", "client.retry"},
    {"client.token_cache"},
    {"client.session"},
    {"client.recovery"},
    {"client.flows", "client.storage.manifest"},
    {"client.transports.sync", "client.transports.aio"},
    {"client.flows.download_build"},
    {"hooks"},
    {"triggers"},
    {"operators", "sensors"},
]
#: Errors of a build carry the build, which is read by the module that raises them.
UPWARDS: set[tuple[str, str]] = set()


def module_of(path: Path) -> str:
    """Return a module's name within the package."""
    parts = list(path.relative_to(ROOT / PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(path: Path) -> Iterator[str]:
    """Yield each module that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def packages(path: Path) -> set[str]:
    """Return the top-level names of all that a file imports."""
    return {name.partition(".")[0] for name in imported(path)}


def own(path: Path) -> set[str]:
    """Return the modules of this package that a file imports."""
    modules = {module_of(other) for other in PRODUCT}
    names = {name.removeprefix(PACKAGE).lstrip(".") for name in imported(path) if name.split(".")[0] == PACKAGE}
    return names & modules


def floor(module: str) -> int:
    """Return the floor of a module: its own, else that of the package around it."""
    while True:
        for number, row in enumerate(FLOORS):
            if module in row:
                return number
        assert module, "every module has a floor"
        module = module.rpartition(".")[0]


def in_product(*, emulator: bool = False) -> list[Path]:
    return [path for path in PRODUCT if (module_of(path).split(".")[0] == "emulator") == emulator]


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_imports_point_down():
    upwards = {
        (module_of(path), other)
        for path in in_product()
        for other in own(path)
        if other and floor(other) > floor(module_of(path))
    }
    assert upwards == UPWARDS


def test_airflow_is_known_only_to_what_plugs_into_it():
    knowing = {module_of(path).split(".")[0] for path in PRODUCT if "airflow" in packages(path)}
    assert knowing <= {"hooks", "operators", "sensors", "triggers", "version_compat"}


def test_each_http_library_is_known_to_one_file_only():
    libraries = {"requests", "urllib3", "aiohttp", "yarl", "httpx", "httpcore", "http", "socket", "pycurl", "tornado"}
    paths = in_product()
    knowing = {module_of(path): packages(path) & libraries for path in paths if packages(path) & libraries}
    sync = {"requests", "urllib3", "http"}
    assert knowing == {"client.transports.sync": sync, "client.transports.aio": {"aiohttp", "yarl"}}


def test_the_emulator_knows_nothing_of_the_rest_and_the_rest_nothing_of_it():
    inside = {other.split(".")[0] for path in in_product(emulator=True) for other in own(path)}
    assert inside <= {"", "emulator"}
    assert not {shown(path) for path in in_product() if any(other.split(".")[0] == "emulator" for other in own(path))}


def test_no_file_is_too_long():
    code = [path for path in PEOPLE_READ if path.suffix == ".py"]
    lengths = {shown(path): len(path.read_text().splitlines()) for path in code}
    assert {path: length for path, length in lengths.items() if length > LONGEST_FILE} == {}


def test_nothing_is_faked_by_mocks():
    fakes = {"mock", "responses", "requests_mock", "aioresponses", "respx", "vcr", "pytest_mock"}
    code = [path for path in PEOPLE_READ if path.suffix == ".py"]
    assert {shown(path) for path in code if packages(path) & fakes or "unittest.mock" in imported(path)} == set()


def public(tree: ast.AST, where: str = "") -> Iterator[tuple[str, Any]]:
    """Yield what a module offers: classes, their methods, functions; not what stands inside functions."""
    for node in getattr(tree, "body", ()):
        if isinstance(node, (ast.If, ast.Try, ast.With)):
            yield from public(node, where)
        if not isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) or node.name.startswith("_"):
            continue
        name = f"{where}{node.name}"
        yield name, node
        if isinstance(node, ast.ClassDef):
            yield from public(node, f"{name}.")


def test_all_that_is_public_says_what_it_is():
    silent = []
    for path in PRODUCT:
        tree = ast.parse(path.read_text())
        offered = [("module", tree), *public(tree)]
        silent += [f"{shown(path)}: {name}" for name, node in offered if not ast.get_docstring(node)]
    assert silent == []


def test_nothing_is_left_to_do():
    unfinished = ("TO" + "DO", "FIX" + "ME", "NotImplemented" + "Error()")
    assert {shown(path) for path in PEOPLE_READ if any(word in path.read_text() for word in unfinished)} == set()


def loaded(*modules: str) -> set[str]:
    """Return what a fresh process has loaded after it imported Airflow's base and then these modules."""
    base = "from airflow.providers.common.compat.sdk import BaseOperator, BaseSensorOperator"
    return imports.loaded(modules, after=base)


def test_reading_a_dag_file_loads_no_http_library_no_flow_and_no_trigger():
    names = loaded(f"{PACKAGE}.operators.build", f"{PACKAGE}.operators.deployment", f"{PACKAGE}.sensors.build")
    assert f"{PACKAGE}.operators.build" in names
    heavy = ("requests", "urllib3", "aiohttp", "yarl", "fsspec", "fastapi", "jwt", "airflow.triggers", "airflow.models")
    mine = [
        f"{PACKAGE}.{part}"
        for part in ("client.flows", "client.transports.sync", "client.transports.aio", "triggers", "hooks", "emulator")
    ]
    assert {name for name in names for part in (*heavy, *mine) if name == part or name.startswith(f"{part}.")} == set()
