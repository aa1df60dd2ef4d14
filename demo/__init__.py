"""The nightly chain on a real Airflow, on this machine: `make demo`.

`stack` runs Airflow, `metakraftwerk` runs the emulator, `chain` follows a DAG run, `report` says what came of it.
The end-to-end tests use the same modules.
"""

from __future__ import annotations
