"""No request goes round the retry: there is one place that sends, one that repeats, and no other way to the network.

The sources are searched, for a way round would not show in any answer. That the search finds one is tested as well.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

LIBRARIES = {
    "requests": {"client/sync.py"},
    "urllib3": {"client/sync.py"},
    # Its exceptions only: what is sent by it would have to be named `request`.
    "http": {"client/sync.py"},
    "aiohttp": {"client/aio.py"},
    "yarl": {"client/aio.py"},
}
OTHER_WAYS = {"socket", "httpx", "httpcore", "websockets", "ftplib", "pycurl", "tornado", "importlib"}
FROM_URLLIB_REQUEST = {"getproxies", "proxy_bypass"}
VERBS = {
    "get",
    "post",
    "put",
    "patch",
    "delete",
    "head",
    "options",
    "urlopen",
    "urlretrieve",
    "ws_connect",
    "open_connection",
}
BY_NAME = ("__import__", "getattr", "eval", "exec")

#: Where a word that sends may stand, by file, function and what it is taken from.
SENDING = {
    ("client/sync.py", "run", "flow.send"),
    ("client/sync.py", "_do", "self.send"),
    ("client/sync.py", "send", "adapter.send"),
    ("client/aio.py", "run", "flow.send"),
    ("client/aio.py", "_do", "self.send"),
    ("client/aio.py", "send", "self._session.request"),
    ("client/flows/conversation.py", "request", "self._repeated"),
    ("client/flows/conversation.py", "_log_in", "self._repeated"),
}
#: Generators that are no flows, besides context managers.
NO_FLOWS = {
    ("client/sync.py", "_stream"),
    ("client/sync.py", "_causes"),
    ("triggers/build.py", "run"),
    ("triggers/without_worker.py", "run"),
}
STEPS = {"Sleep", "MaskSecret", "Exclusive"}
FLOWS = ("mkw_airflow_provider.client.flows", "mkw_airflow_provider.client.flows.download_build")
ABOVE = ("hooks/", "operators/", "sensors/", "triggers/")

Node = tuple[ast.AST, str]


def walk(tree: ast.AST, function: str = "") -> Iterator[Node]:
    """Every node with the name of the function that it stands in."""
    for node in ast.iter_child_nodes(tree):
        yield node, function
        inside = node.name if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) else function
        yield from walk(node, inside)


def imported(node: ast.AST) -> list[tuple[str, str]]:
    """The modules that an import names, each with the name taken from it."""
    if isinstance(node, ast.Import):
        return [(alias.name, "") for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [(node.module or "", alias.name) for alias in node.names]
    return []


def check_imports(path: str, nodes: list[Node]) -> Iterator[str]:
    for node, _ in nodes:
        for module, name in imported(node):
            top = module.partition(".")[0]
            if path not in LIBRARIES.get(top, {path}) or top in OTHER_WAYS:
                yield f"{path} imports {module}"
            if module.startswith("urllib.request") and name not in FROM_URLLIB_REQUEST:
                yield f"{path} imports {name or 'all'} of {module}"
        if isinstance(node, ast.Request) and ast.unparse(node.func) in BY_NAME:
            named = {argument.value for argument in node.args if isinstance(argument, ast.Constant)}
            if named & (VERBS | {"send", *LIBRARIES}):
                yield f"{path} takes {ast.unparse(node)}"


def check_sending(path: str, nodes: list[Node]) -> Iterator[str]:
    transport = path in ("client/sync.py", "client/aio.py")
    words = {"send", "_repeated"} | (VERBS | {"request"} if transport else set())
    for node, function in nodes:
        if isinstance(node, ast.Attribute) and node.attr in words:
            text = ast.unparse(node)
            if (path, function, text) not in SENDING:
                yield f"{path} has {text} in {function}"


def check_yields(path: str, nodes: list[Node]) -> Iterator[str]:
    managers = {
        (path, node.name)
        for node, _ in nodes
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and any(ast.unparse(decorator).endswith("contextmanager") for decorator in node.decorator_list)
    }
    for node, function in nodes:
        if not isinstance(node, ast.Yield) or (path, function) in NO_FLOWS | managers:
            continue
        text = ast.unparse(node.value) if node.value else "nothing"
        made = isinstance(node.value, ast.Request) and ast.unparse(node.value.func) in STEPS
        if not made and (path, function, text) != ("client/flows/conversation.py", "_repeated", "call"):
            yield f"{path} yields {text} in {function}"


def check_runs(path: str, nodes: list[Node]) -> Iterator[str]:
    """Above the client, what is run is a flow: ``talk.request(…)`` or one of the package's flows."""
    flows = {
        alias.asname or alias.name
        for node, _ in nodes
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(FLOWS)
        for alias in node.names
    }

    def is_flow(value: ast.AST | None) -> bool:
        made_by = ast.unparse(value.func) if isinstance(value, ast.Request) else ""
        return made_by.endswith("talk.request") or made_by in flows

    bound = {
        ast.unparse(node.targets[0]): node.value for node, _ in nodes if isinstance(node, ast.Assign) and node.targets
    }
    for node, function in nodes:
        if isinstance(node, ast.Request) and isinstance(node.func, ast.Attribute) and node.func.attr == "run":
            text = ast.unparse(node)
            argument = node.args[0] if node.args else None
            value = bound.get(ast.unparse(argument), argument) if argument else None
            # The hook's own `run` hands its argument on; that of a trigger is Airflow's and takes none.
            if not is_flow(value) and (path, function) != ("hooks/metakraftwerk.py", "run") and text != "super().run()":
                yield f"{path} runs {text} in {function}"


def ways_round(path: str, source: str) -> list[str]:
    """What in a file could send a request past the retry."""
    nodes = list(walk(ast.parse(source)))
    found = [*check_imports(path, nodes), *check_sending(path, nodes), *check_yields(path, nodes)]
    return [*found, *check_runs(path, nodes)] if path.startswith(ABOVE) else found


@pytest.fixture(scope="module")
def sources(repository):
    """The package's files but the emulator's, which is a server and no client."""
    package = repository / "mkw_airflow_provider"
    files = {str(path.relative_to(package)): path.read_text("utf-8") for path in package.rglob("*.py")}
    return {path: source for path, source in files.items() if not path.startswith("emulator/")}


def test_there_is_no_way_round(sources):
    assert [way for path, source in sources.items() for way in ways_round(path, source)] == []


def test_what_is_allowed_is_there(sources):
    """Else a list above would go on allowing what nothing needs any more."""
    there = {
        (path, function, ast.unparse(node))
        for path, source in sources.items()
        for node, function in walk(ast.parse(source))
        if isinstance(node, ast.Attribute)
    }
    generators = {
        (path, function)
        for path, source in sources.items()
        for node, function in walk(ast.parse(source))
        if isinstance(node, ast.Yield)
    }
    assert there >= SENDING
    assert generators >= NO_FLOWS
    assert ("client/flows/conversation.py", "_repeated") in generators


@pytest.mark.parametrize(
    ("path", "source", "found"),
    [
        ("hooks/x.py", "import requests", "hooks/x.py imports requests"),
        ("client/flows/x.py", "def f():\n    from aiohttp import ClientSession", "client/flows/x.py imports aiohttp"),
        ("client/sync.py", "import aiohttp.web", "client/sync.py imports aiohttp.web"),
        ("operators/x.py", "import httpx", "operators/x.py imports httpx"),
        ("operators/x.py", "from http.client import HTTPConnection", "operators/x.py imports http.client"),
        (
            "client/network.py",
            "from urllib.request import urlopen",
            "client/network.py imports urlopen of urllib.request",
        ),
        ("client/network.py", "import urllib.request", "client/network.py imports all of urllib.request"),
        ("hooks/x.py", "__import__('requests').get('x')", "hooks/x.py takes __import__('requests')"),
        ("hooks/x.py", "getattr(client, 'send')(call)", "hooks/x.py takes getattr(client, 'send')"),
        (
            "hooks/metakraftwerk.py",
            "class H:\n    def get_build(self):\n        return self.get_conn().send(call)",
            "hooks/metakraftwerk.py has self.get_conn().send in get_build",
        ),
        (
            "triggers/watch.py",
            "async def watch(c):\n    return await asyncio.gather(*map(c.send, calls))",
            "triggers/watch.py has c.send in watch",
        ),
        ("client/sync.py", "def peek(self):\n    return requests.get('x')", "client/sync.py has requests.get in peek"),
        (
            "client/aio.py",
            "async def peek(self):\n    return await self._session.get('x')",
            "client/aio.py has self._session.get in peek",
        ),
        (
            "client/aio.py",
            "async def peek(self):\n    return await self._session.request('GET', 'x')",
            "client/aio.py has self._session.request in peek",
        ),
        (
            "client/flows/waiting.py",
            "def look(talk, n):\n    reply = yield get_build(n)\n    return reply",
            "client/flows/waiting.py yields get_build(n) in look",
        ),
        (
            "client/results.py",
            "def f(talk, call):\n    yield call.with_token('t')",
            "client/results.py yields call.with_token('t') in f",
        ),
        (
            "client/flows/waiting.py",
            "def look(talk, call):\n    return (yield from talk._repeated(call, None))",
            "client/flows/waiting.py has talk._repeated in look",
        ),
        (
            "hooks/metakraftwerk.py",
            "def f(self):\n    return self.run(self.once(get_build(1)))",
            "hooks/metakraftwerk.py runs self.run(self.once(get_build(1))) in f",
        ),
        ("operators/x.py", "def f(hook):\n    g = make()\n    hook.run(g)", "operators/x.py runs hook.run(g) in f"),
    ],
)
def test_a_way_round_is_found(path, source, found):
    assert ways_round(path, source) == [found]


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("hooks/x.py", "def f(self):\n    return self.run(self.talk.request(get_build(1)))"),
        (
            "triggers/x.py",
            "from mkw_airflow_provider.client.flows.wait import wait as w\nflow = w(talk, 1)\nclient.run(flow)",
        ),
        ("client/flows/x.py", "def f(talk):\n    yield Pause(1.0)\n    return (yield from talk.request(get_build(1)))"),
        ("operators/x.py", "def f(mapping):\n    return mapping.get('x')"),
    ],
)
def test_the_usual_way_is_no_way_round(path, source):
    assert ways_round(path, source) == []
