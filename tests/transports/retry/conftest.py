"""What a read does until it has its answer: how often it was sent, and what became of it."""

from __future__ import annotations

import pytest

PROJECTS = "/api/v1/projects"


@pytest.fixture
def sent(metakraftwerk):
    """How many requests for the projects arrived."""
    return lambda: len(metakraftwerk.requests(path=PROJECTS))


@pytest.fixture
def fault(metakraftwerk):
    """Let requests for the projects be answered wrongly; the login is left alone."""

    def set_fault(action, times=2, **arguments):
        metakraftwerk.fault(action, path=PROJECTS, times=times, **arguments)

    return set_fault
