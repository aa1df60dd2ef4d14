"""Which proxy is used: the connection's, else the environment's; the same for both transports."""

from __future__ import annotations

import base64
import sys
import traceback

import pytest

from mkw_airflow_provider.client.api.builds import create_build
from mkw_airflow_provider.client.api.projects import find_projects
from mkw_airflow_provider.client.session import OutcomeUnknownError
from mkw_airflow_provider.exceptions import ConfigurationError, ConnectionFailedError, RateLimitedError, ServerError

FAR = "metakraftwerk.invalid"
BUILD = create_build(project_id=402, instances=[{"id": 1001}])
VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def no_proxies_of_the_environment(monkeypatch):
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
        monkeypatch.delenv(variable.upper(), raising=False)


def requested(proxy):
    return [(method, target) for method, target, _ in proxy.requested]


def secrets_shown(caught, api):
    """Return the secrets in the log or in the traceback, including all errors that led to the one caught."""
    shown = "".join(traceback.format_exception(caught.value)) + "".join(api.log.lines)
    return [secret for secret in ("s3cret", "t0ken") if secret in shown]


FORWARDED = [("POST", f"http://{FAR}/authentication"), ("GET", f"http://{FAR}/api/v1/projects")]
TUNNELED = [("CONNECT", f"{FAR}:443")]


def test_plain_http_is_forwarded(metakraftwerk, by_proxy, proxy):
    assert len(by_proxy("http", proxy=proxy.url).call(find_projects())) == 4
    assert requested(proxy) == FORWARDED
    assert [request["headers"]["host"] for request in metakraftwerk.requests()] == [FAR, FAR]


def test_https_uses_one_tunnel(secure, by_proxy, tunnel):
    api = by_proxy("https", proxy=tunnel.url)
    assert len(api.call(find_projects())) == 4
    assert len(api.call(find_projects())) == 4
    assert requested(tunnel) == TUNNELED
    assert [request["path"] for request in secure.requests()] == ["/authentication", *["/api/v1/projects"] * 2]
    (_, _, headers), *_ = tunnel.requested
    assert "authorization" not in headers


def test_proxy_may_use_tls(secure, by_proxy, start_proxy, server_context, request):
    if sys.version_info < (3, 11) and "over_aiohttp" in request.fixturenames:
        pytest.skip("asyncio speaks TLS within TLS since Python 3.11")
    proxy = start_proxy(server_context(), to=secure)
    assert len(by_proxy("https", proxy=proxy.url).call(find_projects())) == 4
    assert requested(proxy) == TUNNELED


def test_proxy_without_a_scheme_is_http(by_proxy, proxy):
    assert len(by_proxy("http", proxy=f"127.0.0.1:{proxy.port}").call(find_projects())) == 4
    assert requested(proxy) == FORWARDED


@pytest.mark.parametrize("schema", ["http", "https"])
def test_proxy_login_is_only_sent_to_the_proxy(metakraftwerk, secure, by_proxy, proxy, tunnel, schema):
    way, server = (proxy, metakraftwerk) if schema == "http" else (tunnel, secure)
    url = way.url.replace("//", "//us%40er:pa%3Ass%2Fword@")
    assert len(by_proxy(schema, proxy=url).call(find_projects())) == 4
    expected = "Basic " + base64.b64encode(b"us@er:pa:ss/word").decode()
    assert {headers.get("proxy-authorization") for _, _, headers in way.requested} == {expected}
    assert all("proxy-authorization" not in request["headers"] for request in server.requests())
    assert [request["user_id"] for request in server.requests("GET")] == [1]


@pytest.mark.parametrize(
    ("schema", "variable"),
    [
        ("http", "HTTP_PROXY"),
        ("http", "http_proxy"),
        ("http", "ALL_PROXY"),
        ("https", "HTTPS_PROXY"),
        ("https", "https_proxy"),
        ("https", "all_proxy"),
    ],
)
def test_proxy_of_the_environment_is_used(by_proxy, proxy, tunnel, monkeypatch, schema, variable):
    way, expected = (proxy, FORWARDED) if schema == "http" else (tunnel, TUNNELED)
    monkeypatch.setenv(variable, way.url)
    assert len(by_proxy(schema).call(find_projects())) == 4
    assert requested(way) == expected


def test_environment_proxy_without_scheme_is_http(by_proxy, proxy, monkeypatch):
    monkeypatch.setenv("http_proxy", f"127.0.0.1:{proxy.port}")
    assert len(by_proxy("http").call(find_projects())) == 4
    assert requested(proxy) == FORWARDED


def test_variable_applies_to_its_scheme(metakraftwerk, connect, proxy, monkeypatch):
    monkeypatch.setenv("https_proxy", proxy.url)
    assert len(connect().call(find_projects())) == 4
    assert proxy.requested == []


def test_proxy_of_the_connection_comes_first(by_proxy, proxy, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "*")
    assert len(by_proxy("http", proxy=proxy.url).call(find_projects())) == 4
    assert requested(proxy) == FORWARDED


@pytest.mark.parametrize(
    "excepted", ["*", "127.0.0.1", "localhost, 127.0.0.1", "127.0.0.1:{port}", "127.0.0.0/8", "other.invalid,127.0.0.1"]
)
def test_no_proxy_is_reached_directly(metakraftwerk, connect, proxy, monkeypatch, excepted):
    monkeypatch.setenv("http_proxy", proxy.url)
    monkeypatch.setenv("NO_PROXY", excepted.format(port=metakraftwerk.port))
    assert len(connect().call(find_projects())) == 4
    assert proxy.requested == []


@pytest.mark.parametrize("excepted", ["invalid", ".invalid", "METAKRAFTWERK.invalid", f"{FAR}:443"])
def test_no_proxy_by_name_is_reached_directly(by_proxy, tunnel, monkeypatch, excepted):
    monkeypatch.setenv("https_proxy", tunnel.url)
    monkeypatch.setenv("no_proxy", excepted)
    with pytest.raises(ConnectionFailedError):
        by_proxy("https").call(find_projects())
    assert tunnel.requested == []


@pytest.mark.parametrize("excepted", ["other.invalid", "kraftwerk.invalid", f"{FAR}:8443", "10.0.0.0/8", ""])
def test_other_no_proxy_entries_do_not_matter(by_proxy, proxy, monkeypatch, excepted):
    monkeypatch.setenv("http_proxy", proxy.url)
    monkeypatch.setenv("no_proxy", excepted)
    assert len(by_proxy("http").call(find_projects())) == 4
    assert requested(proxy) == FORWARDED


@pytest.mark.parametrize("url", ["socks5://user:s3cret@127.0.0.1:1080", "http://", "http://proxy:s3cret", "ftp://x"])
def test_invalid_environment_proxy_is_an_error(by_proxy, monkeypatch, url):
    monkeypatch.setenv("ALL_PROXY", url)
    with pytest.raises(ConfigurationError, match="proxy of the environment") as caught:
        by_proxy("https").call(find_projects())
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("refusal", [403, 407, 502, 503, "close", "silent"])
def test_post_is_retried_after_a_refused_tunnel(secure, by_proxy, tunnel, refusal):
    """Nothing has arrived, so even a POST is resent."""
    tunnel.refuses = refusal
    url = tunnel.url.replace("//", "//user:s3cret@")
    api = by_proxy("https", proxy=url, token="t0ken", connect_timeout=0.5, read_timeout=0.5)
    with pytest.raises(ConnectionFailedError, match=f"POST /api/v1/builds at https://{FAR} got no response") as caught:
        api.call(BUILD)
    assert "5 attempts in 2 s" in str(caught.value)
    assert secrets_shown(caught, api) == []
    assert requested(tunnel) == TUNNELED * 5
    assert secure.requests() == []


@pytest.mark.parametrize("schema", ["http", "https"])
def test_post_is_retried_if_the_proxy_is_down(by_proxy, proxy, schema):
    proxy.close()
    api = by_proxy(schema, proxy=proxy.url.replace("//", "//user:s3cret@"), token="t0ken")
    with pytest.raises(
        ConnectionFailedError, match=f"POST /api/v1/builds at {schema}://{FAR} got no response"
    ) as caught:
        api.call(BUILD)
    assert "5 attempts in 2 s" in str(caught.value)
    assert secrets_shown(caught, api) == []


@pytest.mark.parametrize("schema", ["http", "https"])
def test_proxy_that_comes_back_is_used(metakraftwerk, secure, by_proxy, start_proxy, schema):
    server = metakraftwerk if schema == "http" else secure
    way = start_proxy(to=server)
    way.refuses = "close" if schema == "https" else 503
    api = by_proxy(schema, proxy=way.url)
    api.clock.meanwhile = [lambda: setattr(way, "refuses", None)]
    assert len(api.call(find_projects())) == 4
    assert api.clock.pauses == [0.5]


@pytest.mark.parametrize("schema", ["http", "https"])
def test_response_lost_by_the_proxy_is_not_resent(metakraftwerk, secure, by_proxy, start_proxy, schema):
    """The build is running: a second one would do real damage."""
    server = metakraftwerk if schema == "http" else secure
    way = start_proxy(to=server)
    api = by_proxy(schema, proxy=way.url)
    api.run(api.session.token())
    way.loses_responses = True
    with pytest.raises(OutcomeUnknownError):
        api.call(BUILD)
    assert len(server.builds()) == 1
    assert len(server.requests("POST", "/api/v1/builds")) == 1
    assert api.clock.pauses == []


def test_proxy_errors_count_as_server_errors(by_proxy, proxy):
    """With plain HTTP a proxy's response cannot be told from the server's."""
    api = by_proxy("http", proxy=proxy.url, token="t")
    proxy.refuses = 429
    with pytest.raises(RateLimitedError):
        api.call(BUILD)
    proxy.refuses = 502
    with pytest.raises(OutcomeUnknownError):
        api.call(BUILD)
    with pytest.raises(ServerError):
        api.call(find_projects())
