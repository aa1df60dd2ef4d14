"""The page about failures quotes the messages that the code writes."""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest
from airflow.providers.common.compat import sdk

from mkw_airflow_provider import exceptions
from mkw_airflow_provider.client.api.builds import Build
from mkw_airflow_provider.emulator import Emulator
from tests.docs.pages import DOCS, ROOT, Page, codes

ELLIPSIS = "…"
COLUMNS = 6


def _quotations() -> list[str]:
    """Return the code in the first column of the tables of six columns."""
    page = Page(DOCS / "when_something_fails.md")
    rows = [row for _, table in page.tables() for row in table if len(row) == COLUMNS]
    return list(dict.fromkeys(code for row in rows for code in codes(row[0])))


def _is_class(quotation: str) -> bool:
    return re.fullmatch(r"[A-Z]\w+", quotation) is not None


MESSAGES = [quotation for quotation in _quotations() if not _is_class(quotation)]
CLASSES = [quotation for quotation in _quotations() if _is_class(quotation)]


@cache
def _texts() -> tuple[str, ...]:
    """Return every text in the package, with an ellipsis for each value, and messages that are composed."""
    texts = []
    for file in (ROOT / "mkw_airflow_provider").rglob("*.py"):
        if "emulator" in file.parts:
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.JoinedStr):
                parts = [str(part.value) if isinstance(part, ast.Constant) else ELLIPSIS for part in node.values]
                texts.append("".join(parts))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(re.sub(r"%(\.\d)?[sdf]", ELLIPSIS, node.value))
    statuses = (400, 401, 403, 404, 409, 429, 500, 502)
    texts += [str(exceptions.api_error(status, "words", "GET", "/api/v1/builds")) for status in statuses]
    for kind, status in ((exceptions.BuildFailedError, "FAILED"), (exceptions.BuildCanceledError, "CANCELED")):
        texts.append(str(kind(Build(id=5139, status=status))))
    return tuple(texts)


@pytest.mark.parametrize("quotation", MESSAGES)
def test_quoted_message_is_in_the_package(quotation: str) -> None:
    parts = [re.escape(part.strip()) for part in quotation.split(ELLIPSIS) if part.strip()]
    assert parts
    assert any(re.search(".*".join(parts), text, flags=re.DOTALL) for text in _texts())


@pytest.mark.parametrize("name", CLASSES)
def test_a_quoted_class_exists(name: str) -> None:
    kind = getattr(exceptions, name, None) or getattr(sdk, name)
    # Airflow's task timeout is not an Exception, so that tasks do not catch it by accident.
    assert issubclass(kind, BaseException)


def test_tables_quote_messages_and_classes() -> None:
    assert len(MESSAGES) > 30
    assert len(CLASSES) > 15


def test_every_exception_is_on_the_page(failures: Page) -> None:
    classes = {name for name in exceptions.__all__ if isinstance(getattr(exceptions, name), type)}
    assert classes - set(failures.spans()) == set()


def test_every_row_tells_what_to_do(failures: Page) -> None:
    rows = [row for _, table in failures.tables() for row in table if len(row) == COLUMNS]
    assert [row[0].content for row in rows if not (row[1].content and row[2].content and row[3].content)] == []


def test_rows_tell_what_retry_and_clear_do(failures: Page) -> None:
    rows = [row for _, table in failures.tables() for row in table if len(row) == COLUMNS]
    about = [row for row in rows if any(map(_is_class, codes(row[0])))]
    assert [row[0].content for row in about if not (row[4].content and row[5].content)] == []


def test_outage_line_is_as_logged(failures: Page) -> None:
    (shown,) = failures.code("text")
    template = next(text for text in _texts() if "; retrying in" in text)
    assert re.fullmatch(re.escape(template).replace(ELLIPSIS, ".*"), shown.rstrip())


@pytest.mark.parametrize("status", ["FINISHED", "FAILED", "CANCELED"])
def test_code_for_own_use_works(failures: Page, connected: Emulator, status: str) -> None:
    (source,) = failures.code("python")
    names: dict[str, object] = {}
    exec(compile(source, "when_something_fails.md", "exec"), names)
    build = connected.start_build()
    connected.end_build(build["id"], status)
    status_of = names["status_of"]
    assert callable(status_of)
    assert status_of(build["id"]) == status
