"""What contributors run: a local Airflow and emulator (`stack`), the demo, the chaos tests and the benchmarks."""

from __future__ import annotations
