"""The nightly chain on a real Airflow, on this machine: `make demo`.

`chain` follows a DAG run, `report` shows its result. Airflow and the emulator come from `dev.stack`.
"""

from __future__ import annotations
