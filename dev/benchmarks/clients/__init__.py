"""What is measured, each in a process of its own: it reads its order from standard input and prints its figures."""

from __future__ import annotations
