"""Switches: every behavior of the API that its documentation leaves open, with a default and the reason for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from typing import Any
from urllib.parse import urlsplit

ON_WORDS = {"true", "on", "1", "yes"}
OFF_WORDS = {"false", "off", "0", "no"}


def _redirect_target(value: str) -> bool:
    return value in ("off", "same") or (urlsplit(value).scheme in ("http", "https") and bool(urlsplit(value).netloc))


def _switch(
    default: Any,
    what: str,
    why: str,
    *,
    one_of: tuple[Any, ...] | None = None,
    check: Callable[[str], bool] | None = None,
    allowed: str = "",
) -> Any:
    if not allowed:
        if one_of:
            allowed = ", ".join(str(value) for value in one_of)
        else:
            allowed = "true, false" if isinstance(default, bool) else "a number, 0 or more"
    return field(
        default=default,
        metadata={"what": what, "why": why, "one_of": one_of, "check": check, "allowed": allowed},
    )


@dataclass
class Switches:
    """The values of all switches; ``change`` is the only way to set them that checks names and values."""

    build_seconds: float = _switch(
        10.0, "Seconds that a build takes.", "The only documented example took 18.6 s; shorter suits a desk."
    )
    progress: str = _switch(
        "linear",
        "How `progress` moves while a build runs: evenly, in leaps, to 42 and no further, or not sent at all.",
        "Documented as 0 to 100; how it moves is not.",
        one_of=("linear", "uneven", "stuck", "absent"),
    )
    create_status: int = _switch(
        201,
        "Status of a successful POST on builds and build deployments.",
        "Not documented; FeathersJS, which the API is very likely built on, answers 201.",
        one_of=(201, 200),
    )
    full_create_answer: bool = _switch(
        False,
        "Whether POST /builds without `wait` answers the whole build instead of `id` and `status`.",
        "The documented example shows these two only.",
    )
    failed_wait: str = _switch(
        "build",
        "What POST /builds with `wait` answers when the build fails: the build, or a 400 with its message.",
        "Not documented.",
        one_of=("build", "error"),
    )
    flags: str = _switch(
        "documented",
        "How flags such as `active` or `deleted` are sent.",
        "Documented as integers in builds and as booleans elsewhere.",
        one_of=("documented", "integer", "boolean"),
    )
    nulls: str = _switch(
        "null",
        "Whether fields without a value are sent as null or left out.",
        "Documented examples send null; whether that is always so is not documented.",
        one_of=("null", "missing"),
    )
    error_body: str = _switch(
        "feathers5",
        "The shape of an error's body.",
        "Only status and message are documented; FeathersJS 5 sends name, message, code and className.",
        one_of=("feathers5", "feathers4", "text", "html"),
    )
    expired_message: str = _switch(
        "Not authenticated",
        "The message of the 401 for an expired token.",
        "Documented like this; FeathersJS says 'jwt expired'.",
        one_of=("Not authenticated", "jwt expired"),
    )
    token_seconds: float = _switch(
        72000.0, "Seconds that a token is valid.", "20 hours are documented for the web application only."
    )
    not_implemented_status: int = _switch(
        405,
        "Status of PUT, PATCH and DELETE on builds and build deployments.",
        "Documented as 'Not implemented' without a status; FeathersJS answers 405.",
        one_of=(405, 501),
    )
    foreign_record: int = _switch(
        404,
        "Status for a single record in a project that the user has no access to.",
        "The documented errors of GET /builds/:id have a 404 and no 403.",
        one_of=(404, 403),
    )
    unknown_filter: str = _switch(
        "404",
        "What a find answers for a filter that names something that does not exist: 404, or an empty array.",
        "The 404 is documented for projects and for the patterns of deployments, not for the others.",
        one_of=("404", "empty"),
    )
    unknown_query: str = _switch(
        "reject",
        "What happens to a query parameter that is not documented: 400, or nothing.",
        "Not documented; rejecting shows a misspelled filter.",
        one_of=("reject", "ignore"),
    )
    closed_release: str = _switch(
        "reject",
        "Whether a build in a closed release is refused with 400.",
        "The web application offers open releases only.",
        one_of=("reject", "accept"),
    )
    deploy_permission: str = _switch(
        "write_builds",
        "The permission that a build deployment needs.",
        "Which one governs deployments is not documented.",
        one_of=("write_builds", "view"),
    )
    deploy_unfinished_build: str = _switch(
        "reject",
        "Whether deploying a build that is not FINISHED is refused with 400.",
        "Not documented; such a build has no results yet.",
        one_of=("reject", "accept"),
    )
    deployment_status: str = _switch(
        "absent",
        "Whether a build deployment carries `status` and `message`.",
        "The documented schema has neither, though the web application shows both.",
        one_of=("absent", "present"),
    )
    deployment_outcome: str = _switch(
        "FINISHED",
        "How build deployments end that start from now on.",
        "The web application shows FINISHED or FAILED.",
        one_of=("FINISHED", "FAILED"),
    )
    deployment_seconds: float = _switch(
        0.0, "Seconds that a build deployment takes; until then its status is DEPLOYING.", "Not documented."
    )
    deployment_waits: bool = _switch(
        False,
        "Whether POST /build_deployments answers only when the deployment has ended.",
        "Not documented.",
    )
    automatic_deployments: bool = _switch(
        False,
        "Whether a build that finishes deploys each of its patterns with DEPLOY_TO_DEV by itself.",
        "A pattern can be set up so ('Deploy objects after build'); the seeded patterns are not.",
    )
    ranges: bool = _switch(
        True,
        "Whether downloads answer Range with 206 and send Accept-Ranges and an ETag.",
        "Not documented; usual for files.",
    )
    content_length: bool = _switch(
        True, "Whether downloads send Content-Length; if not, the body is chunked.", "Not documented; usual for files."
    )
    download_redirect: str = _switch(
        "off",
        "Whether GET /downloads/:id redirects to the file: not at all, to a path of the same host, or below this URL.",
        "Not documented; file stores often do.",
        check=_redirect_target,
        allowed="off, same, or the URL of a host",
    )

    @classmethod
    def names(cls) -> list[str]:
        """Names of all switches, in the order of the documentation."""
        return [item.name for item in fields(cls)]

    def change(self, **values: Any) -> None:
        """Set some switches, all or none of them.

        :param values: switch names and their new values.
        :raises ValueError: for an unknown name or a value that is not allowed; the message lists what is.
        """
        checked = {name: _checked(name, value) for name, value in values.items()}
        for name, value in checked.items():
            setattr(self, name, value)

    def to_dict(self) -> dict[str, Any]:
        """All switches by name."""
        return asdict(self)


_FIELDS = {item.name: item for item in fields(Switches)}


def describe() -> list[tuple[str, str, str, str, str]]:
    """Name, default, allowed values, meaning and reason of each switch, for the documentation."""
    return [
        (
            name,
            str(item.default).lower() if isinstance(item.default, bool) else str(item.default),
            str(item.metadata["allowed"]),
            str(item.metadata["what"]),
            str(item.metadata["why"]),
        )
        for name, item in _FIELDS.items()
    ]


def parse(name: str, text: str) -> Any:
    """Read a switch's value from a command line.

    :param name: the switch.
    :param text: its value as text.
    :raises ValueError: for an unknown name or a value that is not allowed.
    """
    default = _field(name).default
    if isinstance(default, bool):
        word = text.lower()
        return _checked(name, True if word in ON_WORDS else False if word in OFF_WORDS else text)
    if isinstance(default, (int, float)):
        try:
            return _checked(name, type(default)(text))
        except ValueError:
            return _checked(name, text)
    return _checked(name, text)


def _field(name: str) -> Any:
    if name not in _FIELDS:
        raise ValueError(f"There is no switch '{name}'. Switches: {', '.join(_FIELDS)}")
    return _FIELDS[name]


def _checked(name: str, value: Any) -> Any:
    item = _field(name)
    default, one_of, check = item.default, item.metadata["one_of"], item.metadata["check"]
    if isinstance(default, bool):
        valid = isinstance(value, bool)
    elif one_of is not None:
        valid = type(value) is type(default) and value in one_of
    elif check is not None:
        valid = isinstance(value, str) and check(value)
    else:
        valid = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < float("inf")
    if not valid:
        raise ValueError(f"'{value}' is no value of switch '{name}'. Allowed: {item.metadata['allowed']}")
    return float(value) if isinstance(default, float) else value
