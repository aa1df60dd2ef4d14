"""The page about the connection says what the form and the settings say."""

from __future__ import annotations

import re
from dataclasses import fields

import pytest

from mkw_airflow_provider.client.server_address import DEFAULT_HOST
from mkw_airflow_provider.client.settings import Settings
from mkw_airflow_provider.exceptions import ConfigurationError
from mkw_airflow_provider.get_provider_info import connection_fields, field_behaviour
from mkw_airflow_provider.hooks.metakraftwerk import MetaKraftwerkHook
from tests.docs.conftest import ConnectionOf
from tests.docs.pages import Page, plain

DEFAULTS = {field.name: field.default for field in fields(Settings)}


def test_extra_fields_are_the_form(install: Page) -> None:
    shown = [tuple(plain(cell) for cell in row) for row in install.table("Extra fields")]
    form = [(name, field["label"], field["description"]) for name, field in connection_fields().items()]
    assert shown == form


def test_standard_fields_have_the_form_labels(install: Page) -> None:
    shown = {plain(field): plain(label) for field, label, _ in install.table("Standard fields")}
    usual = {name: name.capitalize() for name in ("host", "login", "password", "port", "schema")}
    assert shown == {**usual, **field_behaviour()["relabeling"]}


def test_field_tables_have_the_defaults(install: Page) -> None:
    for field, _, meaning in install.table("Extra fields"):
        if found := re.search(r"Default (\d+)", meaning.content):
            assert DEFAULTS[plain(field)] == float(found[1]), plain(field)
    host = next(meaning for field, _, meaning in install.table("Standard fields") if plain(field) == "host")
    assert DEFAULT_HOST in host.content


def test_timeout_table_has_the_defaults(failures: Page) -> None:
    shown = {}
    for name, where, *_ in failures.table("Timeouts"):
        if found := re.fullmatch(r"connection, (\d+) s", where.content):
            shown[plain(name)] = float(found[1])
    assert shown == {name: DEFAULTS[name] for name in ("connect_timeout", "read_timeout", "outage_tolerance")}


def test_both_forms_give_one_connection(install: Page, connection_of: ConnectionOf) -> None:
    as_json, as_uri = install.code("bash")
    assert connection_of(as_json) == connection_of(as_uri)
    assert connection_of(as_uri) == Settings(
        base_url="https://app.metakraftwerk.com",
        login="your.email@example.com",
        password="your-password",
        project="DEMO_PROJECT",
        outage_tolerance=1800.0,
    )


def test_shown_message_is_a_real_one(install: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    (shown,) = install.code("text")
    monkeypatch.setenv(
        "AIRFLOW_CONN_METAKRAFTWERK_DEFAULT",
        '{"conn_type": "metakraftwerk", "login": "a", "extra": {"read_timeout": 0}}',
    )
    with pytest.raises(ConfigurationError) as error:
        _ = MetaKraftwerkHook().settings
    assert str(error.value) == shown.replace("\n", " ").strip()
