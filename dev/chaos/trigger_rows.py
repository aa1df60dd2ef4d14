"""``python -m dev.chaos.trigger_rows newer``: rewrite stored triggers as another version would have stored them."""

from __future__ import annotations

import sys

from airflow.models.trigger import Trigger
from airflow.utils.session import create_session

#: The arguments that every version has.
ALWAYS = ("metakraftwerk_conn_id", "build_id")


def main() -> None:
    """Rewrite the triggers of this package in the database of Airflow."""
    newer = sys.argv[1] == "newer"
    with create_session() as session:
        for row in session.query(Trigger).filter(Trigger.classpath.startswith("mkw_airflow_provider.")):
            arguments = row.kwargs
            if newer:
                row.kwargs = {**arguments, "argument_of_a_newer_version": True}
            else:
                row.kwargs = {name: arguments[name] for name in ALWAYS}


if __name__ == "__main__":
    main()
