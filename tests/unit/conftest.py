"""Flows without a socket and without sleeping."""

from __future__ import annotations

from pathlib import Path

import pytest

from mkw_airflow_provider.client import known_secrets
from mkw_airflow_provider.client.storage.folder import Folder
from tests.kit.files import in_memory, on_disk
from tests.kit.simulation import World


@pytest.fixture
def world() -> World:
    """A world in which a user has logged in already."""
    return World()


@pytest.fixture(params=["disk", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Folder:
    """A folder that has been made: on the local file system, and on one of fsspec's that moves by copying."""
    made = on_disk(tmp_path / "results") if request.param == "disk" else in_memory()
    made.create()
    return made


@pytest.fixture(autouse=True)
def no_secrets_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the secrets of other tests, which would be removed from the texts of this one."""
    monkeypatch.setattr(known_secrets, "_known", {})
    monkeypatch.setattr(known_secrets, "_all_known", known_secrets._Forms(()))
