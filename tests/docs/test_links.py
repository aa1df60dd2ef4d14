"""No link leads nowhere, no picture is missing, no make target is invented."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, READABLE, ROOT, Page, name_of


def _anchor(heading: str) -> str:
    """What Markdown readers make of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _anchors(page: Page) -> set[str]:
    labels = re.findall(r"^\(([\w-]+)\)=$", page.text, flags=re.MULTILINE)
    return {_anchor(heading) for heading in page.headings()} | set(labels)


@pytest.mark.parametrize("path", READABLE, ids=name_of)
def test_links_lead_somewhere(path: Path) -> None:
    broken = []
    for link in Page(path).links():
        if "://" in link:
            continue
        target, _, anchor = link.partition("#")
        file = (path.parent / target).resolve() if target else path
        if not file.exists() or (anchor and anchor not in _anchors(Page(file))):
            broken.append(link)
    assert broken == []


def test_readme_links_every_user_page(readme: Page) -> None:
    linked = {(ROOT / link).resolve() for link in readme.links() if "://" not in link}
    assert linked >= {
        DOCS / "install.md",
        DOCS / "reference" / "emulator.md",
        DOCS / "explanation" / "behavior.md",
        DOCS / "guides" / "start.md",
    }
    assert linked >= {DOCS / "when_something_fails.md", ROOT / "CHANGELOG.md", ROOT / "LICENSE"}


@pytest.mark.parametrize("path", READABLE, ids=name_of)
def test_named_make_targets_exist(path: Path) -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    page = Page(path)
    commands = [*page.spans(), *"".join(page.code("console")).splitlines()]
    named = {found[1] for command in commands if (found := re.match(r"(?:\$ )?make ([\w-]+)", command))}
    assert named <= targets


def test_every_picture_is_shown_and_small() -> None:
    shown = "".join(path.read_text() for path in READABLE)
    pictures = sorted((DOCS / "pictures").iterdir())
    assert pictures
    for picture in pictures:
        assert f"pictures/{picture.name}" in shown
        assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
        assert picture.stat().st_size < 200_000


@pytest.mark.parametrize("path", READABLE, ids=name_of)
def test_every_figure_exists(path: Path) -> None:
    for picture in re.findall(r"^:::\{figure\} (\S+)$", path.read_text(), flags=re.MULTILINE):
        assert (path.parent / picture).exists(), picture
