"""The numbers on the pages are those of the code."""

from __future__ import annotations

import re
from importlib.metadata import metadata, requires, version
from pathlib import Path

import pytest

from mkw_airflow_provider import __version__
from mkw_airflow_provider.client import recovery, request, retry, text
from mkw_airflow_provider.client.api import authentication
from mkw_airflow_provider.client.flows import download, polling, wait
from mkw_airflow_provider.client.storage import file_names
from mkw_airflow_provider.client.transports import network
from mkw_airflow_provider.exceptions import TEMPORARY_STATUSES
from mkw_airflow_provider.triggers.build import EARLIEST_EVENT
from tests.docs.pages import DOCS, ROOT, Page, plain

BEHAVIOR = Page(DOCS / "explanation" / "behavior.md")
AIRFLOW = version("apache-airflow")

MEBIBYTE = 1024 * 1024
LIMITS = {
    "largest JSON response": (
        f"{request.MAX_LIST_BODY // MEBIBYTE} MiB for a list, {request.MAX_OBJECT_BODY // MEBIBYTE} MiB else"
    ),
    "what is read of an error": (
        f"{request.MAX_ERROR_BODY // 1024} KiB, of which {text.MAX_TEXT:,} characters are shown"
    ),
    "a JSON response must be complete within": f"{request.SLOWEST_RESPONSE} times read_timeout",
    "an idle connection is kept for": f"{network.KEEP_ALIVE:.0f} s",
    "redirects of a download": f"{download.MAX_REDIRECTS}",
    "connections of one triggerer to MetaKraftwerk": f"{network.POOL}",
    "a file name": f"{file_names.MAX_NAME} bytes",
    "pauses after a failure": (f"{retry.SHORTEST_PAUSE} to {retry.LONGEST_PAUSE:.0f} s, at random"),
    "pauses when a lost response is looked up": f"up to {recovery.LONGEST_SEARCH_INTERVAL:.0f} s",
    "a token is renewed": (
        f"{authentication.RENEW_AHEAD:.0f} s before it ends; "
        f"one that lives for less than {authentication.RENEW_AHEAD * 10 / 60:.0f} minutes after nine tenths of its life"
    ),
}


def test_table_of_limits() -> None:
    assert {plain(what): plain(limit) for what, limit in BEHAVIOR.table("Limits")} == LIMITS


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ("A trigger sends no event in the first five seconds", EARLIEST_EVENT == 5.0),
        ("is the longest pause, two seconds the shortest", polling.FLOOR == 2.0),
        ("408, 425, 429, 500, 502, 503 and 504", {408, 425, 429, 500, 502, 503, 504} <= TEMPORARY_STATUSES),
    ],
)
def test_numbers_in_sentences(words: str, value: bool) -> None:
    assert words in " ".join(BEHAVIOR.text.split())
    assert value


def test_progress_is_logged_every_ten_percent() -> None:
    assert "the progress grows by ten percent" in " ".join((DOCS / "guides" / "wait.md").read_text().split())
    assert wait.PROGRESS_STEP == 10


def test_required_versions() -> None:
    (airflow,) = (line for line in requires("mkw-airflow-provider") or () if line.startswith("apache-airflow>"))
    declared = {plain(what): plain(required) for what, required, _ in BEHAVIOR.table("Versions")}
    assert declared["Airflow"] == f"{airflow.removeprefix('apache-airflow>=').removesuffix('.0')} or later"
    assert declared["Python"] == f"{metadata('mkw-airflow-provider')['Requires-Python'].removeprefix('>=')} or later"


@pytest.mark.parametrize(
    "path", [ROOT / "README.md", DOCS / "install.md", DOCS / "explanation" / "behavior.md"], ids=str
)
def test_tested_airflow_version(path: Path) -> None:
    assert AIRFLOW in path.read_text()


def test_older_airflow_versions_are_pinned() -> None:
    """The table shows each pinned version once; `lowest` is one of them."""
    pinned = {}
    for file in (ROOT / "constraints").glob("airflow-*.txt"):
        (found,) = re.findall(r"^apache-airflow==(\S+)$", file.read_text(), flags=re.MULTILINE)
        pinned[file.stem.removeprefix("airflow-")] = found
    install = Page(DOCS / "install.md")
    assert f"and on {pinned.pop('lowest')} with the lowest supported version" in install.text
    shown = {plain(minor): plain(patch) for minor, _, patch, _ in install.table("Versions")}
    assert shown == pinned
    makefile = (ROOT / "Makefile").read_text()
    (older,) = re.findall(r"^ON := lowest (.*)$", makefile, flags=re.MULTILINE)
    assert [*older.split(), "3.3"] == sorted(shown)


def test_changelog_has_this_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    assert re.search(rf"\b{re.escape(__version__)}\b", text)
    assert re.search(r"^## \[(Unreleased|\d+\.\d+\.\d+(rc\d+)?)\]", text, flags=re.MULTILINE)
