"""The OpenAPI description: FastAPI's, corrected where the API differs from FastAPI's conventions."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

METHODS = {"get", "post", "put", "patch", "delete"}


def describe(api: FastAPI) -> dict[str, Any]:
    """Return the description of an application, generated once.

    :param api: the application.
    """
    if api.openapi_schema is None:
        schema = get_openapi(title=api.title, version=api.version, description=api.description, routes=api.routes)
        for path in schema["paths"].values():
            for method in METHODS & set(path):
                _correct(path[method])
        for name in ("HTTPValidationError", "ValidationError"):
            schema["components"]["schemas"].pop(name, None)
        api.openapi_schema = schema
    return api.openapi_schema


def _correct(operation: dict[str, Any]) -> None:
    # Invalid bodies and parameters are 400 here.
    operation["responses"].pop("422", None)
    for parameter in operation.get("parameters", []):
        # A parameter is present or absent; a query cannot express null.
        schema = parameter["schema"]
        kinds = [kind for kind in schema.pop("anyOf", []) if kind != {"type": "null"}]
        for kind in kinds:
            schema.update(kind)
    for content in operation.get("requestBody", {}).get("content", {}).values():
        content["schema"].pop("default", None)
