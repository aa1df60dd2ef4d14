"""``pytest -m live``: the account to check, and the table at the end."""

from __future__ import annotations

import os

import pytest

from tests.live.account import Account
from tests.live.options import Options
from tests.live.report import Row, render

ROWS = pytest.StashKey[list[Row]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[ROWS] = []


@pytest.fixture
def rows(pytestconfig: pytest.Config) -> list[Row]:
    """The rows of the table so far."""
    return pytestconfig.stash[ROWS]


@pytest.fixture(scope="session")
def live_account() -> Account:
    """The account that the environment names."""
    options = Options.from_environment(os.environ)
    if options.missing:
        pytest.skip(options.missing)
    return Account(options)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if config.stash[ROWS]:
        terminalreporter.section("facts about the service")
        for line in render(config.stash[ROWS], terminalreporter._tw.fullwidth):
            terminalreporter.write_line(line)
