"""Faults on purpose: many runs of the nightly chain on a real Airflow while its processes are killed: `make chaos`.

`kinds` says what can happen, `schedule` what happens to which run, `nights` makes it happen, `invariants` checks what
came of it, `report` says so. Airflow and its REST client come from `dev.stack`.
"""

from __future__ import annotations
