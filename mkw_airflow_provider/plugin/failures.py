"""What the pages say if something cannot be read: one sentence, without addresses, fields or a traceback."""

from __future__ import annotations

from airflow.providers.common.compat.sdk import AirflowNotFoundException

from mkw_airflow_provider.exceptions import (
    ApiError,
    ConfigurationError,
    ConnectionFailedError,
    ForbiddenError,
    MetaKraftwerkError,
    NotAuthenticatedError,
    NotFoundError,
    RateLimitedError,
    ServerError,
)


def describe_failure(error: Exception, connection: str) -> str:
    """Return a sentence about a failure for people who may not see the connection.

    :param connection: its id.
    """
    if isinstance(error, AirflowNotFoundException):
        return (
            f"The connection {connection!r} does not exist in Airflow's API server. A connection from an environment "
            "variable or a secrets backend must be available there, too."
        )
    if isinstance(error, ConfigurationError):
        return f"The connection {connection!r} cannot be used: its type is not MetaKraftwerk, or a field is wrong."
    if isinstance(error, NotAuthenticatedError):
        return f"MetaKraftwerk refused the login of connection {connection!r}: e-mail, password or token is wrong."
    if isinstance(error, ForbiddenError):
        return f"The user of connection {connection!r} may not read this in MetaKraftwerk."
    if isinstance(error, NotFoundError):
        return "MetaKraftwerk does not have it (any more)."
    if isinstance(error, ConnectionFailedError):
        return "MetaKraftwerk does not respond; this page keeps trying."
    if isinstance(error, (RateLimitedError, ServerError)):
        return f"MetaKraftwerk is not available at the moment (status {error.status}); this page keeps trying."
    if isinstance(error, ApiError):
        return f"MetaKraftwerk responded with status {error.status}."
    if isinstance(error, MetaKraftwerkError):
        return "MetaKraftwerk sent a response that cannot be read."
    return f"This cannot be shown because of an internal error ({type(error).__name__})."
