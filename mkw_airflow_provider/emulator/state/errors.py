"""The API's errors: every message, worded in one place."""

from __future__ import annotations

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
ACCOUNT_LOCKED = "Account is locked"
NO_STRATEGY = "Invalid authentication information (no `strategy` set)"
AGENT_OR_GROUP = "Specify either an agent or an agent group, by id or by name!"
INSTANCE_DEFINITION = "An instance needs either an id or a pattern, a folder and a name!"
BUILD_NOT_FINISHED = "The build is not finished!"
NO_STATEMENT = "A statement is required!"
NOT_IMPLEMENTED = "Not implemented"
PAGE_NOT_FOUND = "Page not found"


class ApiError(Exception):
    """An error response.

    :param status: HTTP status.
    :param message: the message of the API.
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
    """Not documented: the message where an id and a name are given, which are mutually exclusive."""
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


def unbuildable_instance(name: str) -> str:
    """Not documented: the message for an instance that is invalid or disabled for builds."""
    return f"The instance '{name}' cannot be built!"


def not_in_build(pattern: str) -> str:
    """Not documented: the message for deploying a pattern that the build does not have."""
    return f"The build has no results for the pattern '{pattern}'!"


def default_release(group: str, release: str) -> str:
    """Not documented: the warning for a release group that the request leaves open."""
    return f"No release given for release group '{group}', '{release}' is used."


def unknown_query(name: str) -> str:
    """Not documented: the message for a query parameter that the API does not have."""
    return f"Unknown query parameter '{name}'"
