"""The settings of a small and private Airflow: one folder, one user, the loopback interface."""

from __future__ import annotations

import base64
import configparser
import os
import random
import secrets
import socket
from collections.abc import Mapping
from pathlib import Path

from dev.stack.generation import INSTALLED

HOST = "127.0.0.1"
USER = "admin"


def free_port() -> int:
    """Return a free port below those that systems hand out for outgoing connections."""
    ports = list(range(20000, 30000))
    random.shuffle(ports)
    for port in ports:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
    raise OSError("No port from 20000 to 29999 is free.")


def configuration(home: Path, *, dags: Path, port: int) -> configparser.ConfigParser:
    """Return `airflow.cfg`: all settings but the secrets.

    :param home: Airflow's folder.
    :param dags: the folder with the DAG files.
    :param port: where the API server listens.
    """
    # Paths may contain a percent sign.
    settings = configparser.ConfigParser(interpolation=None)
    settings.read_dict(
        {
            "core": {
                "dags_folder": dags,
                "load_examples": False,
                "dags_are_paused_at_creation": False,
                "executor": "LocalExecutor",
                # Each of these is a process.
                "parallelism": 4,
                "simple_auth_manager_users": f"{USER}:admin",
                "simple_auth_manager_passwords_file": password_file(home),
                # The default queries a name server, which can take seconds.
                "hostname_callable": "socket.gethostname",
                "test_connection": "Enabled",
            },
            "database": {"sql_alchemy_conn": f"sqlite:///{home / 'airflow.db'}"},
            # DAGs only run when they are triggered: otherwise their schedule adds a run for last night.
            "scheduler": {"use_job_schedule": False},
            "logging": {"base_log_folder": home / "logs"},
            "usage_data_collection": {"enabled": False},
        }
    )
    settings.read_dict(INSTALLED.configuration(HOST, port))
    return settings


def environment(home: Path, extra: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of Airflow's processes: this one's without its Airflow settings, with new secrets.

    :param home: Airflow's folder.
    :param extra: variables to add, for example connections; settings have the names of Airflow 3.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.lstrip("_").startswith("AIRFLOW")}
    no_proxy = ",".join(filter(None, [os.environ.get("NO_PROXY") or os.environ.get("no_proxy"), HOST, "localhost"]))
    ours = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__API__SECRET_KEY": secrets.token_hex(32),
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(64),
        "AIRFLOW__CORE__FERNET_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "NO_PROXY": no_proxy,
        "no_proxy": no_proxy,
        "PYTHONUNBUFFERED": "1",
        **extra,
    }
    return {**inherited, **{INSTALLED.variables.get(name, name): value for name, value in ours.items()}}


def password_file(home: Path) -> Path:
    """Return the file from which Airflow's simple auth manager reads the password."""
    return home / "passwords.json"
