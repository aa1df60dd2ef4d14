"""What happens to the whole environment: edited retries, a rotated password, a missing connection, another version."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial

from dev.chaos.environment import RETRIES, Environment

#: Seconds for which every request gets a 503 while the password is changed on the server and in Airflow.
MAINTENANCE_SECONDS = 3.0
#: Seconds for which the triggerer has no connection: less than the outage tolerance.
WITHHELD_SECONDS = 6.0
#: Seconds for which the other version of the triggerer runs.
OTHER_VERSION_SECONDS = 4.0


def edit_retries(environment: Environment) -> None:
    """Change `retries` in the DAG file, which attempts read when they start."""
    file = environment.retries_file
    present = int(file.read_text()) if file.exists() else RETRIES
    file.write_text(str(RETRIES - 2 if present == RETRIES else RETRIES))


def rotate_password(environment: Environment) -> None:
    """Change the password on the server and in Airflow, and expire all tokens."""
    with environment.component_lock, environment.emulator.kept_running() as control:
        password = f"rotated-password-{len(environment.passwords)}"
        # Otherwise a request between the two changes would be refused for good.
        control.fault("status", status=503, headers={"Retry-After": "1"}, times=None, seconds=MAINTENANCE_SECONDS)
        control.set_user(control.connection["login"], password=password)
        control.expire_tokens()
        environment.passwords.append(password)
        environment.write_connection()


def withhold_connection(environment: Environment) -> None:
    """Replace the triggerer by one that does not find the connection at first."""
    with environment.component_lock:
        environment.triggerer_connections.write_text("{}")
        arguments = json.dumps({"path": str(environment.triggerer_connections)})
        environment.replace("triggerer", {"AIRFLOW__SECRETS__BACKEND_KWARGS": arguments})
        environment.stopped.wait(WITHHELD_SECONDS)
        environment.write_connection()


def upgrade_and_roll_back(environment: Environment) -> None:
    """Let triggers be resumed that a newer version has stored, and then an older one."""
    with environment.component_lock:
        for version in ("newer", "older"):
            rewrite = partial(environment.stack.run_module, "dev.chaos.trigger_rows", version)
            environment.replace("triggerer", meanwhile=rewrite)
            environment.stopped.wait(OTHER_VERSION_SECONDS)


ACTIONS: dict[str, Callable[[Environment], None]] = {
    action.__name__: action for action in (edit_retries, rotate_password, withhold_connection, upgrade_and_roll_back)
}
