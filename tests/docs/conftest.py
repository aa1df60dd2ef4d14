"""The pages that more than one test reads, and a reading of connections as a shell would set them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias

import pytest

from mkw_airflow_provider.client.settings import Settings
from mkw_airflow_provider.hooks.metakraftwerk import MetaKraftwerkHook
from tests.docs.pages import DOCS, ROOT, Page

ConnectionOf: TypeAlias = Callable[[str], Settings]


@pytest.fixture(scope="session")
def readme() -> Page:
    return Page(ROOT / "README.md")


@pytest.fixture(scope="session")
def failures() -> Page:
    return Page(DOCS / "when_something_fails.md")


@pytest.fixture(scope="session")
def install() -> Page:
    return Page(DOCS / "install.md")


@pytest.fixture
def connection_of(monkeypatch: pytest.MonkeyPatch) -> ConnectionOf:
    """Return the settings that follow from an `export` of a connection."""

    def read(command: str) -> Settings:
        found = re.fullmatch(r"export (AIRFLOW_CONN_METAKRAFTWERK_DEFAULT)='([^']*)'\n", command)
        assert found is not None, command
        monkeypatch.setenv(found[1], found[2])
        return MetaKraftwerkHook().settings

    return read
