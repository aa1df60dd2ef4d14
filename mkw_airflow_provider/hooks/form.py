"""The connection form for Airflow before 3.2, made of the same description that later versions read themselves."""

from __future__ import annotations

from typing import Any

from mkw_airflow_provider.get_provider_info import connection_fields
from mkw_airflow_provider.get_provider_info import field_behaviour as described_behaviour


def widgets() -> dict[str, Any]:
    """Return the extra fields as form widgets. Needs wtforms, which only Airflow before 3 installs."""
    # Installed before Airflow 3 only.
    from flask_appbuilder.fieldwidgets import BS3PasswordFieldWidget, BS3TextFieldWidget
    from wtforms import BooleanField, PasswordField, StringField

    def widget(field: dict[str, Any]) -> Any:
        schema, label, hint = field["schema"], field["label"], field["description"]
        if "boolean" in schema["type"]:
            return BooleanField(label, default=schema.get("default"), description=hint)
        if schema.get("format") == "password":
            return PasswordField(label, widget=BS3PasswordFieldWidget(), description=hint)
        # Numbers too: this form knows whole numbers only, and reads an empty field as a fault.
        return StringField(label, widget=BS3TextFieldWidget(), description=hint)

    return {name: widget(field) for name, field in connection_fields().items()}


def field_behaviour() -> dict[str, Any]:
    """Return names and placeholders of the standard fields."""
    return {name.replace("-", "_"): value for name, value in described_behaviour().items()}
