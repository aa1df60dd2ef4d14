"""What Airflow reads of this package: its modules and the connection form. The only description of the form."""

from __future__ import annotations

from typing import Any

from mkw_airflow_provider import __version__

CONNECTION_TYPE = "metakraftwerk"

ASSET_URIS = {
    "schemes": ["metakraftwerk"],
    "handler": "mkw_airflow_provider.assets.sanitize_uri",
    "factory": "mkw_airflow_provider.assets.create_asset",
    "to_openlineage_converter": "mkw_airflow_provider.assets.to_openlineage_dataset",
}


def connection_fields() -> dict[str, dict[str, Any]]:
    """Return the extra fields of a connection, as ``conn-fields`` of the provider's metadata wants them."""
    return {
        "token": _field(
            "Access token (instead of e-mail and password)",
            "A ready access token, used instead of logging in.",
            format="password",
        ),
        "project": _field("Project", "Name of the project for tasks that name none."),
        "connect_timeout": _field(
            "Connect timeout (seconds, default 10)", "How long to wait for a connection. Default 10.", "number"
        ),
        "read_timeout": _field(
            "Read timeout (seconds, default 60)",
            "How long to wait for the next part of a response. Default 60.",
            "number",
        ),
        "outage_tolerance": _field(
            "Outage tolerance (seconds, default 900)",
            "How long to keep retrying while the server is unreachable or overloaded, in seconds. Default 900.",
            "number",
        ),
        "verify": _field(
            "Verify certificate (default true)",
            "Check the server's certificate: true, false, or the path of a CA bundle.",
            # Offered while typing; a path can be typed, too.
            examples=["true", "false"],
        ),
        "client_cert": _field("Client certificate", "Path of a PEM file with certificate and key."),
        "proxy": _field("Proxy", "Proxy URL. If empty, HTTPS_PROXY and NO_PROXY apply."),
        "allow_http": _field(
            "Allow HTTP (default no)",
            "Allow plain HTTP. The password is then sent unencrypted.",
            "boolean",
            default=False,
        ),
        "build_link": _field(
            "Build link (default: the server's address)",
            "URL of a build's page, with {build_id} and {project_id}. Default: the server's address.",
        ),
    }


def _field(label: str, description: str, kind: str = "string", **schema: Any) -> dict[str, Any]:
    return {"label": label, "description": description, "schema": {"type": [kind, "null"], **schema}}


def field_behaviour() -> dict[str, Any]:
    """Return names and placeholders of the form's standard fields, as ``ui-field-behaviour`` wants them."""
    return {
        "hidden-fields": [],
        "relabeling": {
            "host": "Host (default app.metakraftwerk.com)",
            "login": "E-mail (required without an access token)",
            "password": "Password (required without an access token)",
            "schema": "Scheme (https or http, default https)",
        },
        "placeholders": {
            "host": "app.metakraftwerk.com",
            "login": "your.email@example.com",
            "schema": "https",
        },
    }


def _modules(kind: str, *names: str) -> list[dict[str, Any]]:
    modules = [f"mkw_airflow_provider.{kind}.{name}" for name in names]
    return [{"integration-name": "MetaKraftwerk", "python-modules": modules}]


def _option(description: str) -> dict[str, Any]:
    return {
        "description": f"{description} Airflow 3.3 and later; an argument of the sensor takes precedence.",
        "version_added": "1.0.0",
        "type": "boolean",
        "example": None,
        "default": "False",
    }


def get_provider_info() -> dict[str, Any]:
    """Return the provider's description, as ``airflow/provider_info.schema.json`` wants it."""
    return {
        "package-name": "mkw-airflow-provider",
        "name": "MetaKraftwerk",
        "description": "Start MetaKraftwerk builds, wait for them in the triggerer, download and deploy their results.",
        "versions": [__version__],
        "integrations": [
            {
                "integration-name": "MetaKraftwerk",
                "external-doc-url": "https://app.metakraftwerk.com",
                "tags": ["service"],
            }
        ],
        "hooks": _modules("hooks", "metakraftwerk"),
        "operators": _modules("operators", "build", "deployment"),
        "sensors": _modules("sensors", "build"),
        "triggers": _modules("triggers", "build", "events"),
        "extra-links": ["mkw_airflow_provider.links.MetaKraftwerkLink"],
        "config": {
            "metakraftwerk": {
                "description": "Options of the MetaKraftwerk provider.",
                "options": {
                    "pages": {
                        "description": 'Show the tab "Build" on tasks and the page "MetaKraftwerk builds". Airflow 3.1 '
                        "and later; read by the API server.",
                        "version_added": "0.2.0",
                        "type": "boolean",
                        "example": None,
                        "default": "True",
                    },
                    "start_from_trigger": _option("Start deferrable sensors in the triggerer, without a worker."),
                    "end_from_trigger": _option("End deferrable sensors in the triggerer, without a worker."),
                },
            }
        },
        "asset-uris": [ASSET_URIS],
        # What Airflow before 3.0 reads.
        "dataset-uris": [ASSET_URIS],
        "connection-types": [
            {
                "connection-type": CONNECTION_TYPE,
                "hook-name": "MetaKraftwerk",
                "hook-class-name": "mkw_airflow_provider.hooks.metakraftwerk.MetaKraftwerkHook",
                "conn-fields": connection_fields(),
                "ui-field-behaviour": field_behaviour(),
            }
        ],
    }
