"""The tree of errors, their words, and how they travel from the triggerer to the worker."""

from __future__ import annotations

import copy
import json
import pickle

import pytest

from mkw_airflow_provider import exceptions
from mkw_airflow_provider.client.api.builds import Build
from mkw_airflow_provider.client.known_secrets import remember_secrets
from mkw_airflow_provider.exceptions import (
    AlreadyDeployedError,
    ApiError,
    BadRequestError,
    BuildCanceledError,
    BuildError,
    BuildFailedError,
    BuildStartUncertainError,
    BuildTimeoutError,
    ConfigurationError,
    ConnectionFailedError,
    DeploymentError,
    DeploymentFailedError,
    DeploymentUncertainError,
    DownloadError,
    ForbiddenError,
    IntegrityError,
    MetaKraftwerkError,
    NoFilesError,
    NotAuthenticatedError,
    NotFoundError,
    ProtocolError,
    QueryError,
    RateLimitedError,
    SelectionError,
    ServerError,
    WaitInterruptedError,
    api_error,
)
from tests.kit.simulation import build

FAILED = Build.from_json(
    build(5139, "FAILED", message="disk full", build_end="2026-04-02T08:14:58.898Z", downloads=[{"id": 1}], extra=[1])
)

#: One of each class.
ERRORS = [
    MetaKraftwerkError("something"),
    ConfigurationError("`project` is missing"),
    ConnectionFailedError("GET /api/v1/builds/5139 got no response"),
    ProtocolError("the response is not JSON"),
    ApiError(418, "I'm a teapot", "GET", "/api/v1/builds"),
    BadRequestError(400, "No instances specified!", "POST", "/api/v1/builds"),
    NotAuthenticatedError(401, "Invalid login", "POST", "/authentication"),
    ForbiddenError(403, "Not yours", "GET", "/api/v1/builds"),
    NotFoundError(404, "No record found for id '99'", "GET", "/api/v1/builds/99"),
    RateLimitedError(429, "Slow down", "GET", "/api/v1/builds", "9 attempts in 900 s"),
    ServerError(503, "Wartung", "GET", "/api/v1/builds", "9 attempts in 900 s"),
    BuildError(FAILED),
    BuildFailedError(FAILED),
    BuildCanceledError(Build.from_json(build(5139, "CANCELED"))),
    BuildTimeoutError(5139, "the time for waiting is over, but build 5139 has not ended"),
    BuildStartUncertainError("the response to POST /api/v1/builds was lost"),
    WaitInterruptedError("the trigger is gone. Build 5139 is still running"),
    SelectionError("no such folder"),
    QueryError("syntax error"),
    DeploymentError("not made"),
    AlreadyDeployedError("listed already"),
    DeploymentFailedError("FAILED"),
    DeploymentUncertainError("the response was lost"),
    DownloadError("a.zip cannot be stored"),
    NoFilesError("build 5139 has no files"),
    IntegrityError("6 bytes came, the server announced 5"),
]
each_error = pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)


def drawn_tree() -> dict[str, str]:
    """Return the parent of each class as the module's docstring draws it."""
    parents, above = {}, {}
    for line in (exceptions.__doc__ or "").splitlines():
        name = line.replace("│", " ").strip(" ├└─").split(" ")[0]
        if name.endswith("Error"):
            depth = line.index(name) // 4
            above[depth] = name
            parents[name] = above.get(depth - 1, "Exception")
    return parents


def test_tree_matches_the_docstring():
    public = {name: getattr(exceptions, name) for name in exceptions.__all__}
    classes = {name: kind for name, kind in public.items() if isinstance(kind, type)}
    assert drawn_tree() == {name: kind.__bases__[0].__name__ for name, kind in classes.items()}
    assert {type(error) for error in ERRORS} == set(classes.values())


def test_every_class_of_the_module_is_public():
    defined = {
        name
        for name, kind in vars(exceptions).items()
        if isinstance(kind, type) and kind.__module__ == exceptions.__name__
    }
    assert defined == {name for name in exceptions.__all__ if isinstance(getattr(exceptions, name), type)}


def test_wrong_argument_is_also_a_value_error():
    assert issubclass(ConfigurationError, ValueError)


@each_error
@pytest.mark.parametrize(
    "travel",
    [lambda error: pickle.loads(pickle.dumps(error)), copy.copy, copy.deepcopy],
    ids=["pickle", "copy", "deepcopy"],
)
def test_each_survives_pickling_and_copying(error, travel):
    arrived = travel(error)
    assert type(arrived) is type(error)
    assert (str(arrived), arrived.args, vars(arrived)) == (str(error), error.args, vars(error))


@each_error
def test_each_survives_json(error):
    form = json.loads(json.dumps(error.to_dict()))
    arrived = MetaKraftwerkError.from_dict(form)
    assert type(arrived) is type(error)
    assert (str(arrived), arrived.to_dict()) == (str(error), form)


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"class": "ApiError"},
        {"class": "ApiError", "arguments": {}},
        {"class": "ApiError", "arguments": []},
        {"class": "BuildFailedError", "arguments": []},
        {"class": "BuildFailedError", "arguments": [None]},
        {"class": "BuildTimeoutError", "arguments": ["a", "b", "c"]},
        {"class": "SystemExit", "arguments": []},
        {"class": "Any", "arguments": []},
        {"class": ["ApiError"], "arguments": []},
        [],
        None,
        "ApiError",
    ],
    ids=str,
)
def test_other_data_becomes_a_protocol_error(value):
    error = MetaKraftwerkError.from_dict(value)
    assert type(error) is ProtocolError
    assert "an error of an unknown form came out of the triggerer" in str(error)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, BadRequestError),
        (401, NotAuthenticatedError),
        (403, ForbiddenError),
        (404, NotFoundError),
        (429, RateLimitedError),
        (500, ServerError),
        (501, ServerError),
        (503, ServerError),
        (599, ServerError),
        (302, ApiError),
        (405, ApiError),
        (409, ApiError),
        (499, ApiError),
    ],
)
def test_each_status_has_its_class(status, kind):
    error = api_error(status, "No", "GET", "/api/v1/builds", "a note")
    assert type(error) is kind
    assert (error.status, error.message, error.method, error.path, error.note) == (
        status,
        "No",
        "GET",
        "/api/v1/builds",
        "a note",
    )


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            NotFoundError(404, "No record found for id '99'", "GET", "/api/v1/builds/99"),
            "GET /api/v1/builds/99 returned 404: No record found for id '99'",
        ),
        (
            ServerError(503, "Wartung", "GET", "/x", "9 attempts"),
            "GET /x returned 503: Wartung (9 attempts)",
        ),
        (ApiError(418, "No"), "the request returned 418: No"),
        (BuildFailedError(FAILED), "build 5139 FAILED. The server says: disk full"),
        (BuildFailedError(Build.from_json(build(5139, "FAILED"))), "build 5139 FAILED."),
        (
            BuildCanceledError(Build.from_json(build(5139, "CANCELED"))),
            "build 5139 was CANCELED in the web application.",
        ),
        (BuildTimeoutError(5139, "the complete message"), "the complete message"),
    ],
)
def test_messages(error, words):
    assert str(error) == words


FORGED = "ok\n2026-11-25 00:00:00 ERROR forged line\x1b[31m\u202e" + "x" * 10_000_000


@pytest.mark.parametrize(
    "error",
    [
        api_error(400, FORGED, "POST", "/x"),
        BuildFailedError(Build.from_json(build(1, "FAILED", message=FORGED))),
        BuildFailedError(Build.from_json(build(1, FORGED))),
    ],
    ids=lambda error: type(error).__name__,
)
def test_foreign_text_is_one_short_line(error):
    shown = str(error) + repr(error.to_dict())
    assert shown.isprintable()
    assert len(shown) < 5_000


@pytest.mark.parametrize("show", [repr, pickle.dumps, vars], ids=["repr", "pickle", "vars"])
def test_build_of_an_error_holds_no_secret(show):
    secret = "only-i-know"
    remember_secrets(secret)
    fields = {
        "name": secret,
        "description": secret,
        "more": [{secret: [secret]}],
        "downloads": [{"id": 1, "name": secret}],
    }
    error = BuildFailedError(Build.from_json(build(5139, "FAILED", **fields)))
    assert secret not in str(show(error))
    assert secret not in str(error.build.raw)
    assert error.build.raw["name"] == "***"


def test_deeply_nested_json_of_a_build_is_bounded():
    deep: list[object] = []
    for _ in range(900):
        deep = [deep]
    assert BuildFailedError(Build.from_json(build(5139, "FAILED", more=deep))).build.id == 5139
