"""`make chaos`: many runs of the nightly chain on a real Airflow while processes are killed and responses are lost.

`fault_catalog` lists the faults, `plan` assigns them to runs, `chaos_run` injects them into one run, `runner` executes
all runs, `evidence` collects what they left, `invariants` checks it, and `report` prints the result.
"""

from __future__ import annotations
