"""Both transports send the same request line, headers and body."""

from __future__ import annotations

import json

import pytest

from mkw_airflow_provider.client.api.authentication import login
from mkw_airflow_provider.client.api.build_deployments import (
    create_build_deployment,
    find_build_deployments,
    get_build_deployment,
)
from mkw_airflow_provider.client.api.builds import create_build, find_builds, get_build
from mkw_airflow_provider.client.api.downloads import find_downloads
from mkw_airflow_provider.client.api.patterns import find_patterns
from mkw_airflow_provider.client.api.projects import find_projects
from mkw_airflow_provider.client.request import Request, api_path, query
from mkw_airflow_provider.exceptions import ConfigurationError

ODD = "a:b (x)@c/d?e&f=g+h%41#i;j,k'l\"m~n ä€😀\\|^`{}[]<>*!$"
JSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


def as_received(reply):
    return reply.body


def make(method, path, pairs=(), body=None):
    return Request(method, path, as_received, tuple(pairs), body)


CALLS = {
    "find_builds": find_builds(project="DEMO_PROJECT", user="viewer", pattern="CORE_DV_HLS", releases={"G ä": "R:1"}),
    "get_build": get_build(5139),
    "create_build": create_build(
        project=ODD, instances=[{"id": 1}], releases={"G": ODD}, description=ODD, wait=True, restore=True
    ),
    "find_downloads": find_downloads(build_id=1, pattern_id=2),
    "find_build_deployments": find_build_deployments(build_id=1, pattern="a b", deployment_id=3),
    "get_build_deployment": get_build_deployment(1),
    "create_build_deployment": create_build_deployment(build_id=1, pattern="P", deployment="D", agent_group="G"),
    "find_projects": find_projects(name=ODD),
    "find_patterns": find_patterns(name="ä"),
    "odd path": make("GET", api_path("things", ODD, "..x", "a b")),
    "needlessly quoted path": make("GET", "/api/v1/%7Ea%2D%41"),
    "odd query": make("GET", api_path("builds"), query(empty="", yes=True, number=5, text=ODD, object={"a": ODD})),
    "twice the same name": make("GET", api_path("builds"), (("a", "1"), ("a", "2"))),
    "empty body": make("POST", api_path("builds"), body={}),
    "large body": make("POST", api_path("builds"), body={"text": "x" * 1_000_000}),
    "delete": make("DELETE", api_path("builds", 1)),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_both_transports_send_the_same(connect_over, over_requests, over_aiohttp, serve, call):
    server = serve(lambda request: JSON)
    for transport in (over_requests, over_aiohttp):
        api = connect_over(transport, host=server.url, extra={"token": "t0ken"})
        api.call(Request(call.method, call.path, as_received, call.query, call.body))
    one, other = server.arrived
    assert one.line == other.line == f"{call.method} {call.target} HTTP/1.1"
    assert sorted((name.lower(), value) for name, value in one.headers) == sorted(
        (name.lower(), value) for name, value in other.headers
    )
    assert one.body == other.body == (call.content or b"")


def test_login_is_the_same_and_has_no_token(connect_over, over_requests, over_aiohttp, serve):
    server = serve(lambda request: JSON)
    for transport in (over_requests, over_aiohttp):
        api = connect_over(transport, host=server.url, login="ä@example.com", password='pässword \\"')
        call = login(api.settings)
        api.call(Request(call.method, call.path, as_received, body=call.body, authenticated=False))
    one, other = server.arrived
    assert one.line == other.line == "POST /authentication HTTP/1.1"
    assert sorted(map(str.lower, dict(one.headers))) == sorted(map(str.lower, dict(other.headers)))
    assert one.header("authorization") is None
    assert one.body == other.body
    assert json.loads(one.body) == {"strategy": "local", "email": "ä@example.com", "password": 'pässword \\"'}


def test_headers_of_a_get_and_of_a_post(connect, serve):
    server = serve(lambda request: JSON)
    api = connect(host=server.url, extra={"token": "t0ken"})
    api.call(make("GET", api_path("builds")))
    api.call(make("POST", api_path("builds"), body={"a": 1}))
    read, create = ({name.lower(): value for name, value in request.headers} for request in server.arrived)
    always = {
        "host": f"127.0.0.1:{server.port}",
        "accept": "application/json",
        "accept-encoding": "identity",
        "user-agent": "mkw-airflow-provider/0 apache-airflow/0",
        "authorization": "Bearer t0ken",
    }
    assert read == always
    assert create == always | {"content-type": "application/json", "content-length": "7"}


def test_emulator_decodes_odd_paths_and_queries(metakraftwerk, api):
    metakraftwerk.fault("status", path="*/things/*", status=200, body={})
    api.call(make("GET", api_path("things", ODD), query(text=ODD)))
    request = metakraftwerk.requests("GET")[-1]
    assert request["query"] == [["text", ODD]]
    assert request["path"] == (
        "/api/v1/things/a%3Ab%20%28x%29%40c%2Fd%3Fe%26f%3Dg%2Bh%2541%23i%3Bj%2Ck%27l%22m~n%20"
        "%C3%A4%E2%82%AC%F0%9F%98%80%5C%7C%5E%60%7B%7D%5B%5D%3C%3E%2A%21%24"
    )


@pytest.mark.parametrize("segment", ["", ".", ".."])
def test_path_traversal_is_refused(segment):
    with pytest.raises(ConfigurationError, match="is no resource of the API"):
        api_path("builds", segment)


def test_base_path_of_the_server_is_kept(connect, serve):
    server = serve(lambda request: JSON)
    api = connect(host=f"{server.url}/mkw/", extra={"token": "t"})
    api.call(make("GET", api_path("builds"), query(a=1)))
    assert server.arrived[0].line == "GET /mkw/api/v1/builds?a=1 HTTP/1.1"
