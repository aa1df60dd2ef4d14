"""A local MetaKraftwerk: for demos, for tests of DAGs, for this package's own tests."""

from __future__ import annotations

from mkw_airflow_provider.emulator.control import Control, ControlError
from mkw_airflow_provider.emulator.server import Emulator

__all__ = ["Control", "ControlError", "Emulator"]
