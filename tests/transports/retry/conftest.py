"""How often a read is sent, and responses that fail."""

from __future__ import annotations

import pytest

PROJECTS = "/api/v1/projects"


@pytest.fixture
def sent(metakraftwerk):
    """Return how many requests for the projects arrived."""
    return lambda: len(metakraftwerk.requests(path=PROJECTS))


@pytest.fixture
def fault(metakraftwerk):
    """Let requests for the projects fail; the login works."""

    def set_fault(action, times=2, **arguments):
        metakraftwerk.fault(action, path=PROJECTS, times=times, **arguments)

    return set_fault
