"""Hook methods that only send one request, made from the function that describes the endpoint."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from typing import Concatenate

    from typing_extensions import ParamSpec

    from mkw_airflow_provider.client.flows import Flow
    from mkw_airflow_provider.client.request import Request

    P = ParamSpec("P")

R = TypeVar("R")


def endpoint(
    make: Callable[P, Request[R]], *, default_project: bool = False, flow: Callable[..., Flow[R]] | None = None
) -> Callable[Concatenate[Any, P], R]:
    """Return a hook method with the signature, types and docstring of an endpoint's function.

    :param make: a function of :mod:`mkw_airflow_provider.client.api`, which returns the request.
    :param default_project: whether the connection's project is used if the caller names none.
    :param flow: makes a flow from a session and the same arguments, where sending the request is not enough.
    """

    @wraps(make)
    def send(self: Any, *args: P.args, **kwargs: P.kwargs) -> R:
        if default_project and kwargs.get("project") is None and kwargs.get("project_id") is None:
            kwargs["project"] = self.settings.project
        sent = self.session.request(make(*args, **kwargs)) if flow is None else flow(self.session, *args, **kwargs)
        found: R = self.run(sent)
        return found

    signature = inspect.signature(make)
    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    # The method returns what the request's response is read as.
    result = str(signature.return_annotation).removeprefix("Request[").removesuffix("]")
    send.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[own, *signature.parameters.values()], return_annotation=result
    )
    send.__annotations__ = {**make.__annotations__, "return": result}
    return cast("Any", send)  # type: ignore[no-any-return]
