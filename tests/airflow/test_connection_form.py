"""The connection form: declared once, the same in every version of Airflow, for exactly the fields that are read."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import pytest
from airflow import __version__ as airflow_version
from airflow.providers_manager import ProvidersManager

from mkw_airflow_provider.client.settings import Settings
from mkw_airflow_provider.exceptions import ConfigurationError
from mkw_airflow_provider.get_provider_info import connection_fields, field_behaviour
from mkw_airflow_provider.hooks.metakraftwerk import MetaKraftwerkHook

VERSION = tuple(int(part) for part in airflow_version.split(".")[:2])
#: Fields that Airflow's form has for every connection.
STANDARD = {"base_url", "login", "password"}
PREFIX = "extra__metakraftwerk__"


class Extra(dict[str, Any]):
    """Extra fields that note which of them are read."""

    def __init__(self, **content: Any) -> None:
        super().__init__(content)
        self.read: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        self.read.add(key)
        return super().get(key, default)

    def __getitem__(self, key: str) -> Any:
        self.read.add(key)
        return super().__getitem__(key)


class TestFields:
    def test_of_the_form_are_read_by_the_settings(self) -> None:
        extra = Extra(verify="true")
        Settings.from_fields(name="c", host="example.com", login="l", password="p", extra=extra)
        assert set(connection_fields()) == extra.read

    def test_of_the_settings_are_in_the_form(self) -> None:
        names = {item.name for item in fields(Settings)} - STANDARD
        assert names | {"allow_http"} == set(connection_fields())

    @pytest.mark.parametrize(
        ("name", "value", "becomes"),
        [
            ("token", "t0ken", "t0ken"),
            ("project", "DWH", "DWH"),
            ("connect_timeout", 3, 3.0),
            ("read_timeout", "4.5", 4.5),
            ("outage_tolerance", 0, 0.0),
            ("verify", "false", False),
            ("client_cert", "/dev/null", "/dev/null"),
            ("proxy", "http://proxy:3128", "http://proxy:3128"),
            ("build_link", "https://x/{build_id}", "https://x/{build_id}"),
        ],
    )
    def test_each_sets_its_setting(self, name: str, value: Any, becomes: Any) -> None:
        settings = Settings.from_fields(name="c", login="l", password="p", extra=json.dumps({name: value}))
        assert getattr(settings, name) == becomes

    def test_allow_http_permits_unencrypted_passwords(self) -> None:
        with pytest.raises(ConfigurationError, match=r"http would send the password to example.com in clear"):
            Settings.from_fields(name="c", host="http://example.com", login="l", password="p")
        settings = Settings.from_fields(
            name="c", host="http://example.com", login="l", password="p", extra={"allow_http": True}
        )
        assert settings.base_url == "http://example.com"

    def test_named_defaults_match_the_settings(self) -> None:
        settings = Settings.from_fields(name="c", login="l", password="p")
        for name in ("connect_timeout", "read_timeout", "outage_tolerance"):
            default = getattr(settings, name)
            assert f"Default {default:g}." in connection_fields()[name]["description"]
            assert f"(seconds, default {default:g})" in connection_fields()[name]["label"]
        assert connection_fields()["allow_http"]["schema"]["default"] is False

    def test_empty_ones_count_as_missing(self) -> None:
        empty = {
            name: "" if "boolean" not in item["schema"]["type"] else False for name, item in connection_fields().items()
        }
        assert Settings.from_fields(name="c", login="l", password="p", extra=empty) == Settings.from_fields(
            name="c", login="l", password="p"
        )

    def test_secret_ones_are_shown_as_dots(self) -> None:
        assert [name for name, item in connection_fields().items() if item["schema"].get("format") == "password"] == [
            "token"
        ]


@pytest.mark.skipif((3, 0) <= VERSION < (3, 2), reason="these versions make the form in the API server only")
class TestAsAirflowSeesIt:
    def test_every_field_is_in_the_form(self) -> None:
        widgets = ProvidersManager().connection_form_widgets  # type: ignore[no-untyped-call]
        mine = {name.removeprefix(PREFIX): item for name, item in widgets.items() if name.startswith(PREFIX)}
        assert set(mine) == set(connection_fields())
        assert [name for name, item in mine.items() if item.is_sensitive] == ["token"]

    def test_standard_fields_have_placeholders(self) -> None:
        shown = ProvidersManager().field_behaviours["metakraftwerk"]  # type: ignore[no-untyped-call]
        declared = field_behaviour()
        assert shown["relabeling"] == declared["relabeling"]
        assert shown["hidden_fields"] == declared["hidden-fields"] == []
        assert shown["placeholders"] == declared["placeholders"]


def _form() -> Any:
    """Return what the page for connections of this type gets from the API server."""
    from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService

    (form,) = (item for item in HookMetaService.hook_meta_data() if item.connection_type == "metakraftwerk")
    return form


@pytest.mark.skipif(VERSION < (3, 0), reason="Airflow 2 has another page")
class TestOnThePage:
    def test_connection_type_is_listed(self) -> None:
        assert _form().hook_name == "MetaKraftwerk"

    @pytest.mark.skipif(VERSION < (3, 1), reason="Airflow 3.0 shows them only with the provider fab")
    def test_extra_fields_have_labels_hints_and_types(self) -> None:
        shown = _form().extra_fields
        assert set(shown) == set(connection_fields())
        for name, item in connection_fields().items():
            schema = {**item["schema"], "title": item["label"]}
            if VERSION < (3, 2) and "number" in schema["type"]:
                # The methods below make the form, which supports integers only.
                schema["type"] = ["string", "null"]
            schema.pop("default", None)
            if VERSION < (3, 2):
                schema.pop("examples", None)
            assert shown[name]["description"] == item["description"]
            assert {key: value for key, value in shown[name]["schema"].items() if key != "default"} == schema
            assert shown[name]["value"] == item["schema"].get("default")

    @pytest.mark.skipif(VERSION < (3, 1), reason="Airflow 3.0 shows them only with the provider fab")
    def test_standard_fields_have_labels(self) -> None:
        shown = _form().standard_fields
        labels = field_behaviour()["relabeling"]
        assert (shown.login.title, shown.url_schema.title) == (labels["login"], labels["schema"])
        for name, text in field_behaviour()["placeholders"].items():
            assert getattr(shown, {"schema": "url_schema"}.get(name, name)).placeholder == text


class TestFormMethodsForOlderVersions:
    """Airflow before 3.2 knows the two methods of the hook only."""

    def test_behavior_is_the_declared_one(self) -> None:
        assert MetaKraftwerkHook.get_ui_field_behaviour() == {
            name.replace("-", "_"): value for name, value in field_behaviour().items()
        }

    # By version: the API server of Airflow 3 leaves another module under this name.
    @pytest.mark.skipif(VERSION >= (3, 0), reason="only Airflow 2 installs wtforms")
    def test_widgets_are_the_declared_ones(self) -> None:
        import wtforms

        widgets = MetaKraftwerkHook.get_connection_form_widgets()
        assert list(widgets) == list(connection_fields())
        form = wtforms.Form()
        for name, item in connection_fields().items():
            field = widgets[name].bind(form, name)
            assert (field.label.text, field.description) == (item["label"], item["description"])
            boolean = "boolean" in item["schema"]["type"]
            assert isinstance(field, wtforms.BooleanField) is boolean
            assert isinstance(field, wtforms.PasswordField) is (item["schema"].get("format") == "password")
