"""`make cluster`: many chains, and faults, on an Airflow as large sites run it.

`site` starts it, `scenarios` and `faults` are what happens there, `chains` collects what the chains left for the
invariants of `dev.chaos`, `database` and `figures` measure, `night` compares with another provider, `report` writes the
page.
"""

from __future__ import annotations
