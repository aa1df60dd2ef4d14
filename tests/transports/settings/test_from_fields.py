"""A connection's fields become settings, or one error with all their faults and no secret."""

from __future__ import annotations

import json
import socket

import pytest
import requests
import yarl
from hypothesis import example, given
from hypothesis import strategies as st

from mkw_airflow_provider.client.settings import Settings
from mkw_airflow_provider.exceptions import ConfigurationError

LOGIN = {"login": "me@example.com", "password": "s3cret"}


def settings(**fields):
    return Settings.from_fields(name="dwh", **LOGIN | fields)


def faults(**fields):
    with pytest.raises(ConfigurationError) as caught:
        settings(**fields)
    text = str(caught.value)
    assert "s3cret" not in text
    start = "connection 'dwh' cannot be used: "
    assert text.startswith(start)
    return text.removeprefix(start).split("; ")


def test_defaults():
    assert settings() == Settings(
        base_url="https://app.metakraftwerk.com",
        login="me@example.com",
        password="s3cret",
        token=None,
        project=None,
        connect_timeout=10.0,
        read_timeout=60.0,
        outage_tolerance=900.0,
        verify=True,
        client_cert=None,
        proxy=None,
    )


@pytest.mark.parametrize("as_text", [False, True])
def test_every_extra_field_is_read(tmp_path, as_text):
    pem = tmp_path / "x.pem"
    pem.touch()
    extra = {
        "token": " t0ken\n",
        "project": "DEMO_PROJECT",
        "connect_timeout": "3.5",
        "read_timeout": 7,
        "outage_tolerance": 0,
        "verify": str(pem),
        "client_cert": str(pem),
        "proxy": "http://user:pass@proxy.example.com:3128",
        "build_link": "https://mkw.example.com/#/{project_id}/{build_id}",
    }
    assert settings(extra=json.dumps(extra) if as_text else extra) == Settings(
        base_url="https://app.metakraftwerk.com",
        login="me@example.com",
        password="s3cret",
        token="t0ken",
        project="DEMO_PROJECT",
        connect_timeout=3.5,
        read_timeout=7.0,
        outage_tolerance=0.0,
        verify=str(pem),
        client_cert=str(pem),
        proxy="http://user:pass@proxy.example.com:3128",
        build_link="https://mkw.example.com/#/{project_id}/{build_id}",
    )


@pytest.mark.parametrize("empty", [None, "", " ", "{}", {}, '{"token": "", "verify": null, "proxy": " "}'])
def test_empty_extra_fields_are_none(empty):
    assert settings(extra=empty) == settings()


@pytest.mark.parametrize(
    ("fields", "base_url"),
    [
        ({"host": "mkw.example.com"}, "https://mkw.example.com"),
        ({"host": " MKW.example.com "}, "https://mkw.example.com"),
        ({"host": "mkw.example.com", "port": 8443}, "https://mkw.example.com:8443"),
        ({"host": "mkw.example.com", "port": " 8443 "}, "https://mkw.example.com:8443"),
        ({"host": "mkw.example.com:8443"}, "https://mkw.example.com:8443"),
        ({"host": "mkw.example.com", "port": 443}, "https://mkw.example.com"),
        ({"host": "http://localhost:80"}, "http://localhost"),
        ({"host": "http://localhost:443"}, "http://localhost:443"),
        ({"host": "mkw.example.com:8443", "port": 8443}, "https://mkw.example.com:8443"),
        ({"host": "mkw.example.com", "schema": " HTTPS "}, "https://mkw.example.com"),
        ({"host": "mkw.example.com", "schema": "https://"}, "https://mkw.example.com"),
        ({"host": "https://mkw.example.com"}, "https://mkw.example.com"),
        ({"host": "HTTPS://mkw.example.com/", "schema": "https", "port": ""}, "https://mkw.example.com"),
        ({"host": "https://mkw.example.com:8443/sub/path//"}, "https://mkw.example.com:8443/sub/path"),
        ({"host": "mkw.example.com/sub path/ä%20%41"}, "https://mkw.example.com/sub%20path/%C3%A4%20A"),
        ({"host": "https://mkw.example.com/api/v1/"}, "https://mkw.example.com"),
        ({"host": "mkw.example.com/sub/api/v1\n"}, "https://mkw.example.com/sub"),
        ({"host": "mkw_1.internal"}, "https://mkw_1.internal"),
        ({"host": "mkw"}, "https://mkw"),
        ({"host": "10.0.0.7"}, "https://10.0.0.7"),
        ({"host": "::1", "port": 8443}, "https://[::1]:8443"),
        ({"host": "[2001:db8::7]"}, "https://[2001:db8::7]"),
        ({"host": "https://[2001:DB8::7]:8443"}, "https://[2001:db8::7]:8443"),
        ({"host": "localhost", "schema": "http", "port": 8099}, "http://localhost:8099"),
        ({"host": "http://127.0.0.1:8099"}, "http://127.0.0.1:8099"),
        ({"host": "http://127.8.9.1"}, "http://127.8.9.1"),
        ({"host": "::1", "schema": "http"}, "http://[::1]"),
        ({"host": "http://mkw.localhost"}, "http://mkw.localhost"),
        ({"host": "http://mkw.example.com", "extra": {"allow_http": True}}, "http://mkw.example.com"),
        ({"host": "mkw.example.com", "schema": "http", "extra": {"allow_http": "Yes"}}, "http://mkw.example.com"),
    ],
)
def test_base_url_of_the_server(fields, base_url):
    assert settings(**fields).base_url == base_url


NO_HOST = "host is not a host name or a URL"
IN_CLEAR = "http would send the password to 0.0.0.0 in clear: use https, or set extra `allow_http` to true"
NO_PORT = "port must be a number from 1 to 65535"


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"host": "https://"}, NO_HOST),
        ({"host": "my host"}, NO_HOST),
        ({"host": "*.example.com"}, NO_HOST),
        ({"host": "-x.example.com"}, NO_HOST),
        ({"host": "a..b"}, NO_HOST),
        ({"host": "x" * 64 + ".example.com"}, NO_HOST),
        ({"host": "x." * 130 + "com"}, NO_HOST),
        ({"host": "münchen.example.com"}, f"{NO_HOST}: write an international name in its ASCII form, xn--…"),
        ({"host": "x\x00y"}, NO_HOST),
        ({"host": "https://x:port"}, NO_HOST),
        ({"host": "https://x:99999"}, NO_HOST),
        ({"host": "https://[::1"}, NO_HOST),
        ({"host": "https//mkw.example.com"}, NO_HOST),
        ({"host": "http:/mkw.example.com"}, NO_HOST),
        ({"host": "me:s3cret:x@mkw.example.com"}, NO_HOST),
        ({"host": "https://x:0"}, NO_PORT),
        ({"host": "x", "port": 0}, NO_PORT),
        ({"host": "x", "port": -1}, NO_PORT),
        ({"host": "x", "port": 65536}, NO_PORT),
        ({"host": "x", "port": "https"}, NO_PORT),
        ({"host": "https://x:1", "port": 2}, "port 2 contradicts the URL in host, which says 1"),
        (
            {"host": "https://me:s3cret@mkw.example.com"},
            "host must not hold a login: put it into the fields login and password",
        ),
        ({"host": "https://x?a=s3cret"}, "host must end with the path: it has a query or a fragment"),
        ({"host": "https://x#s3cret"}, "host must end with the path: it has a query or a fragment"),
        (
            {"host": "https://x", "schema": "http"},
            "schema 'http' contradicts the URL in host, which says 'https'",
        ),
        ({"host": "x", "schema": "ftp"}, "schema must be https or http, not 'ftp'"),
        ({"host": "ftp://x"}, "schema must be https or http, not 'ftp'"),
        (
            {"host": "http://mkw.example.com"},
            IN_CLEAR.replace("0.0.0.0", "mkw.example.com"),
        ),
        (
            {"host": "0.0.0.0", "schema": "http"},
            IN_CLEAR,
        ),
        (
            {"host": "http://localhost.example.com", "extra": {"allow_http": False}},
            IN_CLEAR.replace("0.0.0.0", "localhost.example.com"),
        ),
        ({"login": ""}, "login, the e-mail address, is missing (or give an access token in extra `token`)"),
        ({"password": None}, "password is missing (or give an access token in extra `token`)"),
        ({"extra": '{"token": "s3cret"'}, "extra is not valid JSON"),
        ({"extra": "[" * 100_000}, "extra is not valid JSON"),
        ({"extra": '["s3cret"]'}, "extra is not a JSON object"),
        ({"extra": {"token": 5}}, "extra `token` must be text"),
        (
            {"extra": {"token": "s3cret s3cret"}},
            "extra `token` has characters that no access token has, such as blanks",
        ),
        (
            {"extra": {"token": "s3cret\r\nX: y"}},
            "extra `token` has characters that no access token has, such as blanks",
        ),
        ({"extra": {"token": "s3cretä"}}, "extra `token` has characters that no access token has, such as blanks"),
        ({"extra": {"project": ["x"]}}, "extra `project` must be text"),
        ({"extra": {"allow_http": "perhaps"}}, "extra `allow_http` must be true or false"),
        ({"extra": {"verify": 7}}, "extra `verify` must be true, false or the path of a CA bundle"),
        ({"extra": {"verify": "/no/such/file"}}, "extra `verify` names '/no/such/file', which does not exist here"),
        (
            {"extra": {"client_cert": "/no/such/file"}},
            "extra `client_cert` names '/no/such/file', which does not exist here",
        ),
        ({"extra": {"proxy": 3128}}, "extra `proxy` must be text"),
        *(
            ({"extra": {"proxy": proxy}}, "extra `proxy` must be a URL such as http://proxy:3128")
            for proxy in (
                "http://",
                "socks5://me:s3cret@proxy",
                "http://proxy:s3cret",
                "http://me:s3cret€@proxy",
                "http://[",
            )
        ),
        *(
            ({"extra": {name: value}}, f"extra `{name}` must be a number of seconds above 0")
            for name in ("connect_timeout", "read_timeout")
            for value in (0, -1, "soon", True, [], "nan")
        ),
        *(
            (
                {"extra": {"outage_tolerance": value}},
                "extra `outage_tolerance` must be a number of seconds not below 0",
            )
            for value in (-0.1, "long")
        ),
        *(
            ({"extra": {name: value}}, f"extra `{name}` must be a number of seconds of at most 31536000")
            for name in ("connect_timeout", "read_timeout", "outage_tolerance")
            for value in ("inf", 1e10)
        ),
    ],
)
def test_each_fault_is_reported(fields, fault):
    assert faults(**fields) == [fault]


def test_all_faults_are_reported_together():
    found = faults(
        host="http://me:s3cret@mkw.example.com?x=1",
        port=70000,
        schema="ftp",
        login=None,
        password="",
        extra={"read_timeout": 0, "verify": "/no/such/file", "proxy": "ftp://s3cret", "allow_http": 2, "project": 1},
    )
    assert len(found) == 12


def test_token_replaces_login_and_password():
    made = Settings.from_fields(name="dwh", extra={"token": "t0ken"})
    assert (made.token, made.login, made.password) == ("t0ken", None, None)


def test_settings_show_no_secret():
    shown = repr(settings(extra={"token": "t0ken", "proxy": "http://me:h1dden@proxy"}))
    assert [secret for secret in ("s3cret", "t0ken", "h1dden") if secret in shown] == []


def test_equal_settings_can_be_shared():
    assert len({settings(host="a"), settings(host="https://A/"), settings(host="b")}) == 2


@pytest.mark.parametrize("value", [0.001, 60, "31536000"])
def test_accepted_timeouts_work_for_sockets(value):
    with socket.socket() as end:
        end.settimeout(settings(extra={"read_timeout": value}).read_timeout)
        assert end.gettimeout() == float(value)


hosts = st.one_of(
    st.text(max_size=30),
    st.from_regex(r"(https?://)?[A-Za-z0-9äß_.-]{1,20}(:[0-9]{0,6})?(/[ -~]{0,10})?", fullmatch=True),
    st.ip_addresses().map(str),
    st.ip_addresses(v=6).map(lambda address: f"https://[{address}]:8443/x"),
    st.tuples(st.sampled_from(["", "https://", "HTTP://", "ftp://", "//"]), st.text(max_size=10)).map("".join),
)


@given(
    host=hosts,
    port=st.none() | st.integers(-1, 70_000) | st.text(max_size=5),
    schema=st.none() | st.sampled_from(["http", "https", "HTTPS", "ftp", ""]) | st.text(max_size=5),
    allow_http=st.booleans(),
)
@example(host="HTTP://0:80", port=None, schema=None, allow_http=True)
@example(host="https://x/%zz%", port=None, schema=None, allow_http=False)
@example(host="1.2.3", port=None, schema=None, allow_http=False)
@example(host="fe80::1%eth0", port=None, schema=None, allow_http=False)
@example(host="xn--a.com", port=None, schema=None, allow_http=False)
def test_accepted_urls_are_not_changed(host, port, schema, allow_http):
    """Both HTTP libraries send the base URL as it is."""
    try:
        base_url = settings(host=host, port=port, schema=schema, extra={"allow_http": allow_http}).base_url
    except ConfigurationError:
        return
    url = f"{base_url}/api/v1/builds"
    assert base_url.isascii()
    assert base_url.startswith(("https://", "http://"))
    assert requests.Request("GET", url).prepare().url == url
    assert str(yarl.URL(url, encoded=True)) == url
    assert yarl.URL(url).raw_path == yarl.URL(url, encoded=True).raw_path
    assert yarl.URL(url).raw_host == yarl.URL(url, encoded=True).raw_host


@given(
    st.dictionaries(
        st.sampled_from(sorted(Settings.__annotations__)), st.text() | st.integers() | st.floats() | st.none()
    )
)
def test_any_extra_works_or_is_a_clear_error(extra):
    try:
        made = settings(extra=extra)
    except ConfigurationError:
        return
    assert 0 < made.read_timeout <= 31_536_000
