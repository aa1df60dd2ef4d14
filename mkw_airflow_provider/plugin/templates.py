"""The HTML of the pages. Every value is escaped."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from mkw_airflow_provider.client.flows.wait_result import duration
from mkw_airflow_provider.client.text import foreign_text


def render(name: str, **values: Any) -> str:
    """Return a page as HTML."""
    return _environment().get_template(name).render(**values)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("mkw_airflow_provider.plugin", "html"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        duration=duration, moment=_moment, size=_size, line=_line, tone=_tone, compared=_compared, elapsed=_elapsed
    )
    return environment


def _moment(value: datetime | None) -> str:
    """Return a point in time in UTC; the script shows it in the browser's time zone."""
    return "" if value is None else value.strftime("%Y-%m-%d %H:%M:%S UTC")


def _elapsed(build: Any) -> str:
    """Return how long a build has been running by this machine's clock; empty if the server does not say."""
    if build.build_start is None:
        return ""
    seconds = (datetime.now(build.build_start.tzinfo) - build.build_start).total_seconds()
    return duration(seconds) if 0 <= seconds < 30 * 86_400 else ""


def _size(value: Any) -> str:
    """Return a size in bytes for people."""
    if not isinstance(value, int) or isinstance(value, bool):
        return ""
    number, unit = float(value), "bytes"
    for larger in ("kB", "MB", "GB"):
        if number < 1000:
            break
        number, unit = number / 1000, larger
    return f"{value} bytes" if unit == "bytes" else f"{number:.1f} {unit}"


def _line(value: Any, limit: int = 300) -> str:
    """Return foreign text as one printable line."""
    return "" if value is None else foreign_text(str(value), limit)


def _tone(status: Any) -> str:
    """Return the name of a status's color."""
    word = str(status).lower()
    return word if word in ("building", "finished", "failed", "canceled") else "unknown"


def _compared(seconds: float, usual: Any) -> str:
    """Return a duration against the usual one."""
    if usual is None or usual.seconds <= 0:
        return ""
    ratio = seconds / usual.seconds
    if 0.9 <= ratio <= 1.1:
        return "as usual"
    return f"{ratio:.1f} times the usual {duration(usual.seconds)}"
