"""What people paste into a connection: line ends, unknown keys, links and user names."""

from __future__ import annotations

import json

import pytest

from mkw_airflow_provider.client.settings import Settings, describe_unknown_extra
from tests.transports.settings.test_from_fields import faults, settings


def test_pasted_line_ends_are_removed():
    settings = Settings.from_fields(name="x", host="a.example.com\n", login="me@example.com\r\n", password=" p \n")
    assert (settings.base_url, settings.login, settings.password) == ("https://a.example.com", "me@example.com", " p ")


@pytest.mark.parametrize(
    "link",
    [
        "/builds/{build_id}",
        "https://x/{build}",
        "https://x/{build_id",
        "https://x/{}",
        "https://x/{build_id.real}",
        "ftp://x",
    ],
)
def test_wrong_build_links_are_faults(link):
    assert faults(extra={"build_link": link}) == [
        "extra `build_link` must be a URL that may contain {build_id} and {project_id}"
    ]


def test_build_link_with_a_login_is_a_fault():
    found = faults(extra={"build_link": "https://me:link-password@x/{build_id}"})
    assert found == ["extra `build_link` must not hold a login"]


def test_build_links_default_to_the_server():
    assert settings().build_url(5139, 402) == "https://app.metakraftwerk.com"
    linked = settings(extra={"build_link": "https://x/#/{project_id}/{build_id}"})
    assert linked.build_url(5139, 402) == "https://x/#/402/5139"
    # Without the project's id the link would be broken.
    assert linked.build_url(5139, None) == "https://app.metakraftwerk.com"


def test_unknown_extra_keys_name_the_nearest():
    assert describe_unknown_extra({"token": "t"}) == describe_unknown_extra("{") == ""
    extra = {"read_timout": 5, "verify_ssl": False, "proxies": {}, "zzz": 1}
    assert describe_unknown_extra(extra) == describe_unknown_extra(json.dumps(extra))
    assert describe_unknown_extra(extra) == (
        "unknown extra keys are ignored: `read_timout` (did you mean `read_timeout`?), `verify_ssl` (did you mean "
        "`verify`?), `proxies` (did you mean `proxy`?), `zzz`"
    )
