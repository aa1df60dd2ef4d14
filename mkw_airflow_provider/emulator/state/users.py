"""The seeded users. Their passwords are not secret; they are long enough for Airflow to mask them."""

from __future__ import annotations

from typing import NamedTuple


class SeededUser(NamedTuple):
    """A user who may log in.

    ``write_builds``: may do everything in all projects. ``views_first_project``: may read the first project.
    """

    id: int
    name: str
    email: str
    password: str
    write_builds: bool = False
    views_first_project: bool = False


USERS = (
    SeededUser(1, "demo", "demo@example.com", "demo-password", write_builds=True),
    SeededUser(2, "viewer", "viewer@example.com", "viewer-password", views_first_project=True),
    SeededUser(3, "outsider", "outsider@example.com", "outsider-password"),
)
