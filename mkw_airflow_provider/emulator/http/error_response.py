"""Error responses in the shapes that the switch ``error_body`` offers."""

from __future__ import annotations

import html
from http import HTTPStatus
from typing import Any

from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response

NAMES = {
    400: "BadRequest",
    401: "NotAuthenticated",
    402: "PaymentError",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    406: "NotAcceptable",
    408: "Timeout",
    409: "Conflict",
    410: "Gone",
    411: "LengthRequired",
    422: "Unprocessable",
    429: "TooManyRequests",
    500: "GeneralError",
    501: "NotImplemented",
    502: "BadGateway",
    503: "Unavailable",
}


def _error_body(status: int, message: str, style: str) -> Any:
    """Return the JSON object of an error as FeathersJS sends it.

    :param status: HTTP status.
    :param message: the message of the API.
    :param style: ``feathers5`` or ``feathers4``, which differ in the key ``errors``.
    """
    name = NAMES.get(status, "GeneralError")
    kebab = "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("-")
    error: dict[str, Any] = {"name": name, "message": message, "code": status, "className": kebab}
    return error | {"errors": {}} if style == "feathers4" else error


def error_response(status: int, message: str, style: str, headers: dict[str, str] | None = None) -> Response:
    """Return an error as a response.

    :param status: HTTP status.
    :param message: the message of the API.
    :param style: the switch ``error_body``.
    :param headers: further response headers.
    """
    if style == "text":
        return PlainTextResponse(message, status, headers)
    if style == "html":
        title = f"{status} {reason_phrase(status)}"
        page = f"<html><head><title>{title}</title></head><body><h1>{html.escape(message)}</h1></body></html>"
        return HTMLResponse(page, status, headers)
    return JSONResponse(_error_body(status, message, style), status, headers)


def reason_phrase(status: int) -> str:
    """Return the reason phrase of a status, or ``Error`` for one without."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"
