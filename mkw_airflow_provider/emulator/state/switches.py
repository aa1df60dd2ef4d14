"""Switches: every behavior of the API that its documentation leaves open, with a default and the reason for it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any
from urllib.parse import urlsplit

from mkw_airflow_provider.emulator.state.switch_values import check_value, parse_value, switch


def _is_redirect_target(value: str) -> bool:
    return value in ("off", "same") or (urlsplit(value).scheme in ("http", "https") and bool(urlsplit(value).netloc))


@dataclass
class Switches:
    """The values of all switches; only :meth:`change` checks names and values."""

    build_seconds: float = switch(
        10.0, "Seconds that a build takes.", "The only documented example took 18.6 s; less is more convenient."
    )
    progress: str = switch(
        "linear",
        "How `progress` moves while a build runs: evenly, in jumps, up to 42 only, or not sent.",
        "Documented as 0 to 100; how it moves is not.",
        one_of=("linear", "uneven", "stuck", "absent"),
    )
    create_status: int = switch(
        201,
        "Status of a successful POST on builds and build deployments.",
        "Not documented; FeathersJS, which the API is very likely built on, responds 201.",
        one_of=(201, 200),
    )
    full_create_response: bool = switch(
        False,
        "Whether POST /builds without `wait` returns the complete build instead of `id` and `status`.",
        "The documented example shows only these two.",
    )
    failed_wait: str = switch(
        "build",
        "What POST /builds with `wait` returns when the build fails: the build, or a 400 with its message.",
        "Not documented.",
        one_of=("build", "error"),
    )
    flags: str = switch(
        "documented",
        "How flags such as `active` or `deleted` are sent.",
        "Documented as integers in builds and as booleans elsewhere.",
        one_of=("documented", "integer", "boolean"),
    )
    nulls: str = switch(
        "null",
        "Whether fields without a value are sent as null or omitted.",
        "Documented examples send null; whether all responses do is not documented.",
        one_of=("null", "missing"),
    )
    error_body: str = switch(
        "feathers5",
        "The shape of an error's body.",
        "Only status and message are documented; FeathersJS 5 sends name, message, code and className.",
        one_of=("feathers5", "feathers4", "text", "html"),
    )
    expired_message: str = switch(
        "Not authenticated",
        "The message of the 401 for an expired token.",
        "Documented like this; FeathersJS says 'jwt expired'.",
        one_of=("Not authenticated", "jwt expired"),
    )
    token_seconds: float = switch(
        72000.0, "Seconds that a token is valid.", "20 hours are documented for the web application only."
    )
    not_implemented_status: int = switch(
        405,
        "Status of PUT, PATCH and DELETE on builds and build deployments.",
        "Documented as 'Not implemented' without a status; FeathersJS responds 405.",
        one_of=(405, 501),
    )
    foreign_record: int = switch(
        404,
        "Status for a single record in a project that the user has no access to.",
        "The documented errors of GET /builds/:id have a 404 and no 403.",
        one_of=(404, 403),
    )
    unknown_filter: str = switch(
        "404",
        "What a list returns for a filter that names something that does not exist: 404, or an empty array.",
        "The 404 is documented for projects and for the patterns of deployments, not for the others.",
        one_of=("404", "empty"),
    )
    unknown_query: str = switch(
        "reject",
        "Whether a query parameter that is not documented is refused with 400 or ignored.",
        "Not documented; rejecting shows a misspelled filter.",
        one_of=("reject", "ignore"),
    )
    closed_release: str = switch(
        "reject",
        "Whether a build in a closed release is refused with 400.",
        "The web application offers open releases only.",
        one_of=("reject", "accept"),
    )
    unbuildable_instances: str = switch(
        "accept",
        "Whether a build with an invalid or build-disabled instance is refused with 400.",
        "Not documented; the web application offers only instances without errors.",
        one_of=("accept", "reject"),
    )
    deploy_permission: str = switch(
        "write_builds",
        "The permission that a build deployment needs.",
        "Which one governs deployments is not documented.",
        one_of=("write_builds", "view"),
    )
    deploy_unfinished_build: str = switch(
        "reject",
        "Whether deploying a build that is not FINISHED is refused with 400.",
        "Not documented; such a build has no results yet.",
        one_of=("reject", "accept"),
    )
    deployment_status: str = switch(
        "absent",
        "Whether a build deployment carries `status` and `message`.",
        "The documented schema has neither, though the web application shows both.",
        one_of=("absent", "present"),
    )
    deployment_outcome: str = switch(
        "FINISHED",
        "The outcome of build deployments that start from now on.",
        "The web application shows FINISHED or FAILED.",
        one_of=("FINISHED", "FAILED"),
    )
    deployment_seconds: float = switch(
        0.0, "Seconds that a build deployment takes; until then its status is DEPLOYING.", "Not documented."
    )
    deployment_waits: bool = switch(
        False,
        "Whether POST /build_deployments responds only when the deployment has ended.",
        "Not documented.",
    )
    automatic_deployments: bool = switch(
        False,
        "Whether a build that finishes deploys each of its patterns automatically with its first deployment.",
        "A pattern can be configured so ('Deploy objects after build'); the seeded patterns are not.",
    )
    ranges: bool = switch(
        True,
        "Whether downloads support Range (206) and send Accept-Ranges and an ETag.",
        "Not documented; usual for files.",
    )
    content_length: bool = switch(
        True, "Whether downloads send Content-Length; if not, the body is chunked.", "Not documented; usual for files."
    )
    download_redirect: str = switch(
        "off",
        "Whether GET /downloads/:id redirects to the file: no, to the same host, or to a path below this URL.",
        "Not documented; file stores often do.",
        check=_is_redirect_target,
        allowed="off, same, or the URL of a host",
    )

    download_url_seconds: float = switch(
        0.0,
        "Seconds for which the address of a redirect is valid, then it responds 403; 0 for no limit.",
        "Not documented; signed URLs of file stores expire.",
    )
    description_limit: int = switch(
        0,
        "Characters after which the description of a build is cut; 0 for no limit.",
        "Not documented; a database column of 255 characters would be usual.",
    )
    list_limit: int = switch(
        0,
        "Rows that a list returns at most, the oldest ones; 0 for all.",
        "Pagination is not documented; FeathersJS can be configured to limit lists.",
    )
    list_delay_seconds: float = switch(
        0.0,
        "Seconds after which new builds and build deployments appear in lists.",
        "Not documented; lists that are read from a replica are delayed.",
    )
    read_delay_seconds: float = switch(
        0.0,
        "Seconds for which GET by id responds 404 for a new build or build deployment.",
        "Not documented; reading your own writes is not guaranteed.",
    )
    login_refused: bool = switch(
        False,
        "Whether every login is refused with 401.",
        "For tests of revoked accounts; use set_user() for a changed password.",
    )
    login_lockout_after: int = switch(
        0,
        "Refused logins in a row after which an account is locked; 0 for never.",
        "Not documented; many servers lock accounts.",
    )
    login_lockout_seconds: float = switch(
        900.0, "Seconds for which a locked account refuses every login.", "Not documented; 15 minutes are usual."
    )
    deployment_agents: str = switch(
        "requested",
        "What `agent_id` and `agent_group_id` of a build deployment say: what was requested, the agent that ran it, "
        "null, or the fields are missing.",
        "The fields are documented; whether they show the request or the assignment is not.",
        one_of=("requested", "assigned", "null", "missing"),
    )
    metadata_response: str = switch(
        "object",
        "Whether POST /metadata returns an object or an array with one object.",
        "The documented fields are those of one statement; a statement number suggests that there may be several.",
        one_of=("object", "array"),
    )
    metadata_error: str = switch(
        "status",
        "How POST /metadata reports a SQL error: the status ERROR with a message, or 400.",
        "The documented status ERROR suggests the first.",
        one_of=("status", "400"),
    )
    clock_skew_seconds: float = switch(
        0.0,
        "Seconds by which all timestamps are ahead of this machine's clock; negative for behind.",
        "Set it and `date_skew_seconds` to the same value for a server whose clock is wrong.",
        signed=True,
    )
    date_skew_seconds: float = switch(
        0.0,
        "Seconds by which the header Date is ahead of this machine's clock; negative for behind.",
        "A proxy in front of the server may set this header by its own clock.",
        signed=True,
    )
    odd_values: str = switch(
        "off",
        "Odd values in every build: lone surrogates, NUL, NaN and infinity, huge integers, nested objects, "
        "line breaks and control characters, a message of 10 MB, or all but the last.",
        "JSON allows all but NaN, and Node.js writes lone surrogates when it cuts a text.",
        one_of=("off", "surrogates", "nul", "nan", "huge_integers", "nested", "line_breaks", "large_message", "all"),
    )

    @classmethod
    def names(cls) -> list[str]:
        """Return the names of all switches, as documented."""
        return [item.name for item in fields(cls)]

    def change(self, **values: Any) -> None:
        """Change some switches, all or none of them.

        :param values: switch names and their new values.
        :raises ValueError: for an unknown name or a value that is not allowed; the message lists what is.
        """
        checked = {name: check_value(_find_field(name), value) for name, value in values.items()}
        for name, value in checked.items():
            setattr(self, name, value)

    def to_dict(self) -> dict[str, Any]:
        """Return all switches by name."""
        return asdict(self)


_FIELDS = {item.name: item for item in fields(Switches)}


def describe() -> list[tuple[str, str, str, str, str]]:
    """Return name, default, allowed values, meaning and reason of each switch, for the documentation."""
    return [
        (
            name,
            str(item.default).lower() if isinstance(item.default, bool) else str(item.default),
            str(item.metadata["allowed"]),
            str(item.metadata["meaning"]),
            str(item.metadata["reason"]),
        )
        for name, item in _FIELDS.items()
    ]


def parse(name: str, text: str) -> Any:
    """Parse a switch's value from a command line.

    :param name: the switch.
    :param text: its value as text.
    :raises ValueError: for an unknown name or a value that is not allowed.
    """
    return parse_value(_find_field(name), text)


def _find_field(name: str) -> Any:
    if name not in _FIELDS:
        raise ValueError(f"Unknown switch '{name}'. Switches: {', '.join(_FIELDS)}")
    return _FIELDS[name]
