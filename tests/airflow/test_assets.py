"""Assets: one name and one URI for one pattern, however they are written."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from airflow.providers.common.compat.sdk import Asset

from mkw_airflow_provider.assets import create_asset, pattern_asset, sanitize_uri
from mkw_airflow_provider.version_compat import AIRFLOW_V_3_0_PLUS

URI = "metakraftwerk://app.metakraftwerk.com/DEMO_PROJECT/CORE_DV_HLS"


def test_asset_has_a_normalized_uri() -> None:
    asset = pattern_asset("DEMO_PROJECT", "CORE_DV_HLS")
    assert asset.uri == URI
    if AIRFLOW_V_3_0_PLUS:
        assert asset.name == URI


@pytest.mark.parametrize(
    "written",
    [
        "metakraftwerk://APP.MetaKraftwerk.com/DEMO_PROJECT/CORE_DV_HLS",
        "MetaKraftwerk://app.metakraftwerk.com/DEMO_PROJECT/CORE_DV_HLS/",
        "metakraftwerk://app.metakraftwerk.com/DEMO%5FPROJECT/CORE_DV_HLS?x=1",
    ],
)
def test_written_uris_are_normalized(written: str) -> None:
    assert Asset(uri=written).uri == URI


@pytest.mark.parametrize(
    "written", ["metakraftwerk://host/only-a-project", "metakraftwerk:///P/Q", "metakraftwerk://h/a/b/c"]
)
def test_incomplete_uri_is_rejected(written: str) -> None:
    with pytest.raises(ValueError, match="<project>/<pattern>"):
        sanitize_uri(urlsplit(written))


def test_names_are_quoted() -> None:
    assert pattern_asset("A/B", "Ä %").uri.endswith("/A%2FB/%C3%84%20%25")


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("MKW.example.com:8443", "mkw.example.com:8443"),
        ("https://mkw.example.com/", "mkw.example.com"),
        ("::1", "[::1]"),
        ("[2001:DB8::7]:8443", "[2001:db8::7]:8443"),
    ],
)
def test_host_is_written_as_in_a_connection(host: str, shown: str) -> None:
    uri = pattern_asset("P", "Q", host=host).uri
    assert uri == f"metakraftwerk://{shown}/P/Q"
    assert sanitize_uri(urlsplit(uri)).geturl() == uri


def test_names_must_not_be_empty() -> None:
    with pytest.raises(ValueError, match="names of a project and of a pattern"):
        pattern_asset("", "CORE_DV_HLS")


def test_factory_keeps_extra() -> None:
    asset = create_asset(project="P", pattern="Q", extra={"owner": "dwh"})
    assert (asset.uri.rpartition("/")[2], asset.extra) == ("Q", {"owner": "dwh"})
