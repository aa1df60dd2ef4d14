"""What differs between Airflow 2 and 3 in how it is set up, started and called; no other module of `dev` knows it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version

Sections = Mapping[str, Mapping[str, object]]


@dataclass(frozen=True)
class Generation:
    """One generation of Airflow.

    :param server: the command that serves the REST API and the pages.
    :param api: path of the REST API.
    :param health: path of the health of all components.
    :param configuration: returns sections of `airflow.cfg`, given the host and the port of the server.
    :param token: path that returns a token for name and password; None: each request is sent with both.
    :param warm_up: path of a request after which the server has loaded what workers need; None: they need nothing.
    :param create_user: returns the command that creates a user, given name and password; None: settings name the user.
    :param variables: its names of environment variables, by those of Airflow 3.
    """

    server: Sequence[str]
    api: str
    health: str
    configuration: Callable[[str, int], Sections]
    token: str | None = None
    warm_up: str | None = None
    create_user: Callable[[str, str], Sequence[str]] | None = None
    variables: Mapping[str, str] = field(default_factory=dict)


def _configuration_2(host: str, port: int) -> Sections:
    url = f"http://{host}:{port}"
    return {
        "api": {
            "auth_backends": "airflow.providers.fab.auth_manager.api.auth.backend.basic_auth",
            "maximum_page_limit": 1000,
        },
        "webserver": {"web_server_host": host, "web_server_port": port, "base_url": url, "workers": 1},
        "scheduler": {"standalone_dag_processor": True, "dag_dir_list_interval": 5, "parsing_processes": 1},
    }


def _configuration_3(host: str, port: int) -> Sections:
    url = f"http://{host}:{port}"
    return {
        "api": {"host": host, "port": port, "base_url": url, "workers": 1},
        "core": {"execution_api_server_url": f"{url}/execution/"},
        "dag_processor": {"refresh_interval": 5, "parsing_processes": 1},
        "workers": {
            # With the default of 5 s, Airflow 3.3 sometimes fails a task that resumes soon after it deferred
            # (apache/airflow issue 67287).
            "min_heartbeat_interval": 1,
            "execution_api_timeout": 30,
        },
    }


def _create_user_2(name: str, password: str) -> Sequence[str]:
    rest = ["--role", "Admin", "--firstname", "Admin", "--lastname", "User", "--email", "admin@example.com"]
    return ["users", "create", "--username", name, "--password", password, *rest]


AIRFLOW_2 = Generation(
    server=["webserver"],
    api="/api/v1",
    health="/api/v1/health",
    configuration=_configuration_2,
    create_user=_create_user_2,
    variables={
        "AIRFLOW__API__SECRET_KEY": "AIRFLOW__WEBSERVER__SECRET_KEY",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "AIRFLOW__SCHEDULER__SCHEDULER_ZOMBIE_TASK_THRESHOLD",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": (
            "AIRFLOW__SCHEDULER__ZOMBIE_DETECTION_INTERVAL"
        ),
    },
)
AIRFLOW_3 = Generation(
    server=["api-server"],
    api="/api/v2",
    health="/api/v2/monitor/health",
    configuration=_configuration_3,
    token="/auth/token",  # noqa: S106 - a path
    warm_up="/execution/health",
)
#: The one that is installed.
INSTALLED = AIRFLOW_2 if version("apache-airflow").startswith("2.") else AIRFLOW_3
