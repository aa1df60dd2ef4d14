"""README and pages as a reader's program sees them: headings, tables, code, links."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md") if "_build" not in path.parts)
READABLE = [ROOT / "README.md", ROOT / "CHANGELOG.md", *PAGES]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


class Page:
    """One Markdown file.

    :param path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.text = path.read_text()
        self._tokens = MarkdownIt("commonmark").enable("table").parse(self.text)

    def headings(self) -> list[str]:
        """The words of all headings, in order."""
        return [
            after.content
            for token, after in zip(self._tokens, self._tokens[1:], strict=False)
            if token.type == "heading_open"
        ]

    def code(self, language: str) -> list[str]:
        """The blocks of code in a language."""
        return [token.content for token in self._tokens if token.type == "fence" and token.info.strip() == language]

    def directives(self, kind: str) -> list[tuple[str, str]]:
        """The argument and the body of each directive of a kind."""
        opening = f"{{{kind}}}"
        return [
            (token.info.removeprefix(opening).strip(), token.content)
            for token in self._tokens
            if token.type == "fence" and token.info.startswith(opening)
        ]

    def links(self) -> list[str]:
        """Where links and pictures lead."""
        return [
            str(child.attrs["href" if child.type == "link_open" else "src"])
            for token in self._tokens
            for child in token.children or ()
            if child.type in ("link_open", "image")
        ]

    def spans(self) -> list[str]:
        """What is set as code within lines."""
        return [child.content for token in self._tokens for child in _code_spans(token)]

    def table(self, heading: str) -> list[list[Token]]:
        """The first table below a heading: rows of cells, without the head."""
        return next(rows for under, rows in self.tables() if under == heading)

    def tables(self) -> Iterator[tuple[str, list[list[Token]]]]:
        """Each table with its heading."""
        heading, rows, in_body = "", [], False
        for token, after in zip(self._tokens, [*self._tokens[1:], self._tokens[-1]], strict=True):
            if token.type == "heading_open":
                heading = after.content
            elif token.type == "tbody_open":
                rows, in_body = [], True
            elif token.type == "tbody_close":
                in_body = False
                yield heading, rows
            elif token.type == "tr_open" and in_body:
                rows.append([])
            elif token.type == "td_open":
                rows[-1].append(after)


def _code_spans(token: Token) -> list[Token]:
    return [child for child in token.children or () if child.type == "code_inline"]


def codes(cell: Token) -> list[str]:
    """What is set as code in a cell of a table."""
    return [child.content for child in _code_spans(cell)]


def plain(cell: Token) -> str:
    """The words of a cell, without the signs of Markdown."""
    return cell.content.replace("`", "").replace("*", "").strip()
