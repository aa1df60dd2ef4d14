"""What can go wrong, as classes. The client raises nothing else; it knows no Airflow.

.. code-block:: text

    MetaKraftwerkError
    ├── ConfigurationError          a connection or an argument is wrong; nothing was sent (also a ValueError)
    ├── ConnectionFailedError       no response within the tolerance: the state is unknown, not failed
    ├── ProtocolError               a response that makes no sense
    ├── ApiError                    an error response; .status and .message are the server's
    │   ├── BadRequestError         400
    │   ├── NotAuthenticatedError   401, also after a new login
    │   ├── ForbiddenError          403
    │   ├── NotFoundError           404
    │   ├── RateLimitedError        429, for longer than the tolerance
    │   └── ServerError             5xx, for longer than the tolerance
    ├── BuildError                  the build ended, but not FINISHED; .build has it
    │   ├── BuildFailedError        FAILED
    │   └── BuildCanceledError      CANCELED: someone canceled it in the web application
    ├── BuildTimeoutError           the wait timed out; the build is still running
    ├── WaitInterruptedError        the triggerer lost the wait; the message tells the state of the build
    ├── BuildStartUncertainError    the response to POST /builds was lost and no build can be found
    ├── SelectionError              a selector names what does not exist, or matches too much or nothing
    ├── QueryError                  a statement on the metadata failed
    ├── DeploymentError
    │   ├── AlreadyDeployedError    refused by ``if_deployed="fail"``
    │   ├── DeploymentFailedError   the server reports FAILED
    │   └── DeploymentUncertainError  the response to POST /build_deployments was lost and none is listed
    └── DownloadError               a file could not be fetched or stored
        ├── NoFilesError            the build has no files, or none of a wanted pattern
        └── IntegrityError          a file is incomplete or damaged

Each of them survives pickling, and :meth:`MetaKraftwerkError.to_dict`, by which the triggerer hands one to the worker.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, ClassVar

from mkw_airflow_provider.client.text import foreign_text, quote_value, without_secrets

__all__ = [
    "AlreadyDeployedError",
    "ApiError",
    "BadRequestError",
    "BuildCanceledError",
    "BuildError",
    "BuildFailedError",
    "BuildStartUncertainError",
    "BuildTimeoutError",
    "ConfigurationError",
    "ConnectionFailedError",
    "DeploymentError",
    "DeploymentFailedError",
    "DeploymentUncertainError",
    "DownloadError",
    "ForbiddenError",
    "IntegrityError",
    "MetaKraftwerkError",
    "NoFilesError",
    "NotAuthenticatedError",
    "NotFoundError",
    "ProtocolError",
    "QueryError",
    "RateLimitedError",
    "SelectionError",
    "ServerError",
    "WaitInterruptedError",
    "api_error",
]


class MetaKraftwerkError(Exception):
    """Root of everything that this package raises by itself.

    The positional arguments are the state of an error, so that it can be pickled and written as JSON. Known secrets
    are removed here, because an error ends up in logs and in Airflow's database. Foreign text passes through
    ``client.text`` before that.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*map(without_secrets, arguments))

    def to_dict(self) -> dict[str, Any]:
        """Return the error as JSON: its class's name and its arguments."""
        return {"class": type(self).__name__, "arguments": [_plain(argument) for argument in self.args]}

    @staticmethod
    def from_dict(value: Any) -> MetaKraftwerkError:
        """Make the error again that :meth:`to_dict` wrote.

        :return: the error; of what has another form a :class:`ProtocolError` that shows it.
        """
        name, arguments = (value.get("class"), value.get("arguments")) if isinstance(value, dict) else (None, None)
        kind = globals().get(str(name))
        if isinstance(kind, type) and issubclass(kind, MetaKraftwerkError) and isinstance(arguments, list):
            with suppress(TypeError, MetaKraftwerkError):
                error = kind(*arguments)
                str(error)
                return error
        return ProtocolError(f"an error of an unknown form came out of the triggerer: {quote_value(value, 500)}")


def _plain(argument: Any) -> Any:
    return argument.to_dict() if hasattr(argument, "to_dict") else argument


class ConfigurationError(MetaKraftwerkError, ValueError):
    """A connection or an argument is missing, malformed or contradicts another. Nothing was sent."""


class ConnectionFailedError(MetaKraftwerkError):
    """Nothing was heard from the server within ``outage_tolerance``. What it does at the moment is unknown."""


class ProtocolError(MetaKraftwerkError):
    """The server, or something in front of it, sent a response that makes no sense."""


class ApiError(MetaKraftwerkError):
    """The server sent an error response.

    :param status: the HTTP status.
    :param message: the server's own words, at most 2,000 characters.
    :param method: of the request.
    :param path: of the request, without the host.
    :param note: what the reader must know besides, e.g. for how long the request was repeated.
    """

    def __init__(self, status: int, message: str, method: str = "", path: str = "", note: str = "") -> None:
        super().__init__(status, foreign_text(message), method, path, note)
        self.status, self.message, self.method, self.path, self.note = self.args

    def __str__(self) -> str:
        request = f"{self.method} {self.path}" if self.method else "the request"
        text = f"{request} returned {self.status}: {self.message}"
        return f"{text} ({self.note})" if self.note else text


class BadRequestError(ApiError):
    """400: the server does not accept the request as it is."""


class NotAuthenticatedError(ApiError):
    """401: the login is wrong, or a fresh token was refused as well."""


class ForbiddenError(ApiError):
    """403: the user may not do this."""


class NotFoundError(ApiError):
    """404: a project, instance, build, download or deployment does not exist."""


class RateLimitedError(ApiError):
    """429: the server asked to slow down for longer than ``outage_tolerance``."""


class ServerError(ApiError):
    """5xx: the server or a gateway in front of it failed; for a read, for the whole tolerance."""


_CLASS_OF_STATUS: dict[int, type[ApiError]] = {
    400: BadRequestError,
    401: NotAuthenticatedError,
    403: ForbiddenError,
    404: NotFoundError,
    429: RateLimitedError,
}


#: The server, or a gateway in front of it, is overloaded or broken for the moment.
TEMPORARY_STATUSES = frozenset({408, 425, 429, *range(500, 600)}) - {501, 505}


def is_final(error: BaseException) -> bool:
    """Whether no retry can fix an error: a person has to fix something first."""
    if isinstance(error, ApiError):
        return error.status not in TEMPORARY_STATUSES
    return isinstance(error, (ConfigurationError, SelectionError))


def api_error(status: int, message: str, method: str, path: str, note: str = "") -> ApiError:
    """Return the error of the class that belongs to a status."""
    kind = _CLASS_OF_STATUS.get(status, ServerError if status >= 500 else ApiError)
    return kind(status, message, method, path, note)


class BuildError(MetaKraftwerkError):
    """A build ended otherwise than FINISHED.

    :param build: the build as the server last showed it; after a journey through JSON as a dict.
    """

    _ending: ClassVar[str] = "ended"

    def __init__(self, build: Any) -> None:
        super().__init__(build)
        self.build = self.args[0]

    def __str__(self) -> str:
        build = self.build if isinstance(self.build, Mapping) else vars(self.build)
        message = foreign_text(str(build.get("message") or ""))
        said = f" The server says: {message}" if message else ""
        return f"build {build.get('id')} {self._ending}.{said}"


class BuildFailedError(BuildError):
    """The build ended FAILED."""

    _ending = "FAILED"


class BuildCanceledError(BuildError):
    """The build ended CANCELED. Only a person in the web application can do that; the API has no cancel."""

    _ending = "was CANCELED in the web application"


class BuildTimeoutError(MetaKraftwerkError):
    """The wait timed out before the build ended. The build is still running.

    :param build_id: of the build.
    :param message: the whole message.
    """

    def __init__(self, build_id: int, message: str) -> None:
        super().__init__(build_id, message)
        self.build_id = build_id
        self.message: str = self.args[1]

    def __str__(self) -> str:
        return self.message


class WaitInterruptedError(MetaKraftwerkError):
    """The wait ended for a reason that has nothing to do with the build, such as a trigger that could not be loaded."""


class BuildStartUncertainError(MetaKraftwerkError):
    """The response to ``POST /builds`` was lost, and no build of this task can be found (yet)."""


class SelectionError(MetaKraftwerkError):
    """A selector of instances names what does not exist, or matches too many instances or none. Nothing was built."""


class QueryError(MetaKraftwerkError):
    """A statement of ``POST /metadata`` failed; the message is the server's."""


class DeploymentError(MetaKraftwerkError):
    """A build deployment was not made, or not made well."""


class AlreadyDeployedError(DeploymentError):
    """The deployment is listed for this build already, and ``if_deployed`` is ``"fail"``."""


class DeploymentFailedError(DeploymentError):
    """The server reports the deployment as FAILED, in a field that its API does not document."""


class DeploymentUncertainError(DeploymentError):
    """The response to ``POST /build_deployments`` was lost, and the deployment is not listed (yet)."""


class DownloadError(MetaKraftwerkError):
    """A build's files could not be fetched or stored."""


class NoFilesError(DownloadError):
    """A FINISHED build has no files, or none of a wanted pattern. A later attempt would not find any either."""


class IntegrityError(DownloadError):
    """A file arrived, but its size or its content is not what it must be."""
