"""The import rules, file sizes and docstrings that `CONTRIBUTING.md` describes, for the package and for `dev`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from tests.kit import imports

ROOT = Path(__file__).parents[2]
PACKAGE = "mkw_airflow_provider"
MAX_LINES = 350
CODE = [path for folder in (PACKAGE, "dev", "tests", "example_dags") for path in sorted((ROOT / folder).rglob("*.py"))]
TEXTS = [path for path in sorted((ROOT / "docs").rglob("*.md")) if "_build" not in path.parts]

#: From the bottom up: a module may import modules of its own layer and of those above it in this list. A module that is
#: not listed belongs to the layer of its package.
LAYERS = [
    {"client.text", "client.known_secrets", "client.escapes"},
    {"", "exceptions", "get_provider_info", "safe_values", "version_compat", "selection", "typing", "links"},
    {"client", "client.request", "client.settings", "client.validation", "client.flows.polling"},
    {"client.transports", "client.transports.network", "client.model"},
    {"client.rows"},
    {"client.api", "client.retry"},
    {"client.token_cache"},
    {"client.storage"},
    {"client.session"},
    {"client.recovery"},
    {"client.flows"},
    {"client.transports.sync", "client.transports.aio"},
    {"hooks"},
    {"triggers"},
    {"operators", "sensors"},
    {"task_groups", "assets", "plugin"},
]
UPWARD: set[tuple[str, str]] = set()
#: What each part of `dev` may import of `dev`.
DEV = {
    "stack": {"stack"},
    "demo": {"stack", "demo"},
    "chaos": {"stack", "demo", "chaos"},
    "benchmarks": {"stack", "benchmarks"},
    "cluster": {"stack", "demo", "chaos", "benchmarks", "cluster"},
}


def module_of(path: Path) -> str:
    """Return a module's full name."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in CODE}


@cache
def imported(path: Path) -> set[str]:
    """Return each name that a file imports, inside functions too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def libraries(path: Path) -> set[str]:
    """Return the top-level names of everything that a file imports."""
    return {name.partition(".")[0] for name in imported(path)}


def product(*, emulator: bool = False) -> dict[str, set[str]]:
    """Return the modules of the package by their names within it, with what they import of it."""
    found = {}
    for module, path in MODULES.items():
        name = module.removeprefix(PACKAGE).lstrip(".")
        if module.partition(".")[0] == PACKAGE and (name.partition(".")[0] == "emulator") == emulator:
            own = {other for other in imported(path) if other in MODULES and other.partition(".")[0] == PACKAGE}
            found[name] = {other.removeprefix(PACKAGE).lstrip(".") for other in own}
    return found


def layer_of(module: str) -> int:
    """Return the layer of a module or of the nearest package around it that is listed."""
    while True:
        for number, layer in enumerate(LAYERS):
            if module in layer:
                return number
        assert module, "every module has a layer"
        module = module.rpartition(".")[0]


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_imports_point_down():
    upward = {
        (module, other)
        for module, others in product().items()
        for other in others
        if other and layer_of(other) > layer_of(module)
    }
    assert upward == UPWARD


def test_only_airflow_classes_import_airflow():
    users = {
        module.split(".")[0]
        for module in product()
        if "airflow" in libraries(MODULES[f"{PACKAGE}.{module}".rstrip(".")])
    }
    assert users & {"client", "emulator", "exceptions", "selection", "safe_values"} == set()


def test_each_http_library_has_one_user():
    known = {"requests", "urllib3", "aiohttp", "yarl", "httpx", "httpcore", "http", "socket", "pycurl", "tornado"}
    users = {module: libraries(MODULES[f"{PACKAGE}.{module}".rstrip(".")]) & known for module in product()}
    assert {module: used for module, used in users.items() if used} == {
        "client.transports.sync": {"requests", "urllib3", "http"},
        "client.transports.aio": {"aiohttp", "yarl"},
    }


def test_emulator_and_client_are_independent():
    modules = product(emulator=True)
    # This subcommand reads a real account, with imports inside its one function that does.
    del modules["emulator.snapshot"]
    assert {other.split(".")[0] for others in modules.values() for other in others} <= {"", "emulator"}
    assert "emulator" not in {other.split(".")[0] for others in product().values() for other in others}


def test_package_imports_no_tools():
    users = {shown(path) for path in CODE if path.parts[len(ROOT.parts)] in (PACKAGE, "example_dags")}
    assert {path for path in users if libraries(ROOT / path) & {"dev", "tests"}} == set()


def test_parts_of_dev_import_in_one_direction():
    wrong = {
        (module, other)
        for module, path in MODULES.items()
        if module.startswith("dev.")
        for other in imported(path)
        # The fault table runs tasks as the tests do.
        if (other.startswith("tests") and not other.startswith("tests.kit"))
        or (other.startswith("dev.") and other.split(".")[1] not in DEV[module.split(".")[1]])
    }
    assert wrong == set()


def test_imports_inside_functions_are_explained():
    unexplained = []
    for module, path in MODULES.items():
        lines = path.read_text().splitlines()
        functions = (ast.FunctionDef, ast.AsyncFunctionDef)
        for function in (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, functions)):
            block = [node.lineno for node in ast.walk(function) if isinstance(node, (ast.Import, ast.ImportFrom))]
            first = min(block, default=0)
            if first and not module.startswith("tests") and not lines[first - 2].lstrip().startswith("#"):
                unexplained.append(f"{shown(path)}:{first}")
    assert unexplained == []


def test_files_have_at_most_350_lines():
    lengths = {shown(path): len(path.read_text().splitlines()) for path in CODE}
    assert {path: length for path, length in lengths.items() if length > MAX_LINES} == {}


def test_nothing_is_mocked():
    banned = {"mock", "responses", "requests_mock", "aioresponses", "respx", "vcr", "pytest_mock"}
    assert {shown(path) for path in CODE if libraries(path) & banned or "unittest.mock" in imported(path)} == set()


def public(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the public classes, methods and functions of a module."""
    for node in getattr(tree, "body", ()):
        if isinstance(node, (ast.If, ast.Try, ast.With)):
            yield from public(node, prefix)
        if not isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) or node.name.startswith("_"):
            continue
        name = f"{prefix}{node.name}"
        yield name, node
        if isinstance(node, ast.ClassDef):
            yield from public(node, f"{name}.")


def test_everything_public_has_a_docstring():
    missing = []
    for module, path in MODULES.items():
        if module.partition(".")[0] == PACKAGE:
            tree = ast.parse(path.read_text())
            names = [("module", tree), *public(tree)]
            missing += [f"{shown(path)}: {name}" for name, node in names if not ast.get_docstring(node)]
    assert missing == []


def test_nothing_is_unfinished():
    marks = ("TO" + "DO", "FIX" + "ME", "NotImplemented" + "Error()")
    assert {shown(path) for path in (*CODE, *TEXTS) if any(mark in path.read_text() for mark in marks)} == set()


def test_dag_files_load_no_http_library():
    base = "from airflow.providers.common.compat.sdk import BaseOperator, BaseSensorOperator"
    mine = [f"{PACKAGE}.{name}" for name in ("operators.build", "operators.deployment", "sensors.build")]
    names = imports.loaded(mine, after=base)
    assert set(mine) <= names
    heavy = ("requests", "urllib3", "aiohttp", "yarl", "fsspec", "fastapi", "jwt", "airflow.triggers", "airflow.models")
    own = ("client.flows", "client.transports.sync", "client.transports.aio", "triggers", "hooks", "emulator")
    parts = (*heavy, *(f"{PACKAGE}.{name}" for name in own))
    assert {name for name in names for part in parts if name == part or name.startswith(f"{part}.")} == set()
