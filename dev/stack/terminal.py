"""Output for people: colored on a terminal, plain in a file, one line per change."""

from __future__ import annotations

import os
import sys

GREEN, RED, YELLOW, BLUE, BOLD, DIM = "32", "31", "33", "36", "1", "2"

_COLORS = {
    "success": GREEN,
    "FINISHED": GREEN,
    "failed": RED,
    "FAILED": RED,
    "CANCELED": RED,
    "upstream_failed": RED,
    "up_for_retry": YELLOW,
    "deferred": BLUE,
}


class Terminal:
    """Where the demo prints. Colors only on a terminal, and not with NO_COLOR set (https://no-color.org)."""

    def __init__(self) -> None:
        self._colored = sys.stdout.isatty() and not os.environ.get("NO_COLOR")

    def title(self, text: str) -> None:
        """Print a heading."""
        self.line(f"\n{self._paint(text, BOLD)}\n")

    def fact(self, name: str, text: str) -> None:
        """Print one fact."""
        self.line(f"  {self._paint(f'{name:<14}', DIM)} {text}")

    def change(self, seconds: float, what: str, state: str, meaning: str) -> None:
        """Print one change of a task or a build."""
        shown = self._paint(f"{state:<14}", _COLORS.get(state, ""))
        self.line(f"{seconds:8.1f} s  {what:<28} {shown} {self._paint(meaning, DIM)}".rstrip())

    def good(self, text: str) -> None:
        """Print a success."""
        self.line(self._paint(text, GREEN))

    def bad(self, text: str) -> None:
        """Print a failure."""
        self.line(self._paint(text, RED))

    def line(self, text: str = "") -> None:
        """Print a line and flush it, for readers of a pipe."""
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()

    def _paint(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colored and code and text else text
