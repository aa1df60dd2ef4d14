"""The seeded users. Their passwords are not secret; they are long enough for Airflow to mask them."""

from __future__ import annotations

from typing import NamedTuple


class SeededUser(NamedTuple):
    """A user who may log in, view ``projects``, and start builds there if ``write_builds`` is true."""

    id: int
    name: str
    email: str
    password: str
    projects: tuple[int, ...]
    write_builds: bool


USERS = (
    SeededUser(1, "demo", "demo@example.com", "demo-password", (402, 403, 404, 405), write_builds=True),
    SeededUser(2, "viewer", "viewer@example.com", "viewer-password", (402,), write_builds=False),
    SeededUser(3, "outsider", "outsider@example.com", "outsider-password", (), write_builds=False),
)
