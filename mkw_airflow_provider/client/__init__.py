"""MetaKraftwerk without Airflow: calls, what they return, and the flows made of them."""

from __future__ import annotations
