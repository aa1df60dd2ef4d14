"""The fault table: how tasks of this provider and of others end when something fails.

`rows` lists the faults, `setup` sets them, `run_row` runs the tasks of one provider through one fault.
``python -m dev.benchmarks.faults`` measures all providers.
"""

from __future__ import annotations

from pathlib import Path

TABLE = Path(__file__).parents[3] / "docs" / "evidence" / "fault_table.json"
