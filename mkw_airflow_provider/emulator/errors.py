"""The API's errors: every message in one place, and the one function that turns an error into an answer."""

from __future__ import annotations

import html
from http import HTTPStatus
from typing import Any

from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response

# Documented, word for word.
NOT_AUTHENTICATED = "Not authenticated"
INVALID_LOGIN = "Invalid login"
NO_PROJECT = "A project id or name is required!"
NO_INSTANCES = "No instances specified!"
NO_PROJECT_ACCESS = "You don't have permissions to access this project!"
NO_BUILD_PERMISSION = "You don't have permissions to start builds in this project!"
INSTANCE_NOT_FOUND = "Instance not found"
NO_BUILD_ID = "A build_id is required!"
BUILD_NOT_FOUND = "Build not found"

# Not documented: worded after the documented ones or after FeathersJS.
NO_PATTERN = "A pattern id or name is required!"
NO_DEPLOYMENT = "A deployment id or name is required!"
NO_DEPLOY_PERMISSION = "You don't have permissions to deploy builds in this project!"
NO_STRATEGY = "Invalid authentication information (no `strategy` set)"
AGENT_OR_GROUP = "Specify either an agent or an agent group, by id or by name!"
INSTANCE_DEFINITION = "An instance needs either an id or a pattern, a folder and a name!"
BUILD_NOT_FINISHED = "The build is not finished!"
NOT_IMPLEMENTED = "Not implemented"
PAGE_NOT_FOUND = "Page not found"

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


class ApiError(Exception):
    """
    An answer other than success.

    :param status: HTTP status.
    :param message: what the API says.
    :param headers: further response headers.
    """

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers


def required(field: str) -> str:
    """Documented for ``email``: the message for a missing field of a login."""
    return f"'{field}' is required"


def not_both(word: str) -> str:
    """Not documented: the message where an id and a name exclude each other and both are there."""
    return f"Specify either a {word} id or a {word} name, not both!"


def no_record(record_id: object) -> str:
    """Documented: the message for an id that does not exist."""
    return f"No record found for id '{record_id}'"


def no_name(word: str, name: str) -> str:
    """Documented for project, pattern and deployment: the message for a name that does not exist."""
    article = "An" if word[0] in "aeio" else "A"
    return f"{article} {word} with the name '{name}' does not exist!"


def closed_release(name: str) -> str:
    """Not documented: the message for a build in a closed release."""
    return f"The release '{name}' is closed!"


def not_in_build(pattern: str) -> str:
    """Not documented: the message for deploying a pattern that the build does not have."""
    return f"The build has no results for the pattern '{pattern}'!"


def default_release(group: str, release: str) -> str:
    """Not documented: the warning for a release group that the request leaves open."""
    return f"No release given for release group '{group}', '{release}' is used."


def unknown_query(name: str) -> str:
    """Not documented: the message for a query parameter that the API does not have."""
    return f"Unknown query parameter '{name}'"


def body(status: int, message: str, style: str) -> Any:
    """
    The JSON object of an error as FeathersJS sends it.

    :param status: HTTP status.
    :param message: what the API says.
    :param style: ``feathers5`` or ``feathers4``, which differ in the key ``errors``.
    """
    name = NAMES.get(status, "GeneralError")
    kebab = "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("-")
    error: dict[str, Any] = {"name": name, "message": message, "code": status, "className": kebab}
    return error | {"errors": {}} if style == "feathers4" else error


def answer(status: int, message: str, style: str, headers: dict[str, str] | None = None) -> Response:
    """
    Turn an error into a response.

    :param status: HTTP status.
    :param message: what the API says.
    :param style: the switch ``error_body``.
    :param headers: further response headers.
    """
    if style == "text":
        return PlainTextResponse(message, status, headers)
    if style == "html":
        title = f"{status} {phrase(status)}"
        page = f"<html><head><title>{title}</title></head><body><h1>{html.escape(message)}</h1></body></html>"
        return HTMLResponse(page, status, headers)
    return JSONResponse(body(status, message, style), status, headers)


def phrase(status: int) -> str:
    """The reason phrase of a status, or ``Error`` for one without."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"
