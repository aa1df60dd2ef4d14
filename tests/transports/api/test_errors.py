"""Every row of the API's error tables, provoked by its real condition: class, status, message and text."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mkw_airflow_provider.client.api.authentication import login
from mkw_airflow_provider.client.api.build_deployments import (
    create_build_deployment,
    find_build_deployments,
    get_build_deployment,
)
from mkw_airflow_provider.client.api.builds import create_build, find_builds, get_build
from mkw_airflow_provider.client.api.downloads import find_downloads
from mkw_airflow_provider.client.request import Request, api_path
from mkw_airflow_provider.exceptions import (
    ApiError,
    BadRequestError,
    ForbiddenError,
    NotAuthenticatedError,
    NotFoundError,
    ServerError,
)

INSTANCES = [{"id": 1001}]
BUILD = create_build(project_id=402, instances=INSTANCES)
DEPLOYMENT = create_build_deployment(build_id=5139, pattern_id=808, deployment_id=1)
NO_ACCESS = "You don't have permissions to access this project!"
NO_PROJECT_X = "A project with the name 'X' does not exist!"

# User, request, and the class, status and message of the error. The client checks some of it itself, before anything
# is sent; there the body is replaced by one that only another client could send.
TABLE = [
    ("viewer", find_builds(project="SALES_DWH"), ForbiddenError, 403, NO_ACCESS),
    ("demo", find_builds(project="X"), NotFoundError, 404, NO_PROJECT_X),
    ("demo", get_build(99), NotFoundError, 404, "No record found for id '99'"),
    ("demo", replace(BUILD, body={"instances": INSTANCES}), BadRequestError, 400, "A project id or name is required!"),
    ("demo", replace(BUILD, body={"project_id": 402}), BadRequestError, 400, "No instances specified!"),
    ("outsider", BUILD, ForbiddenError, 403, NO_ACCESS),
    ("viewer", BUILD, ForbiddenError, 403, "You don't have permissions to start builds in this project!"),
    ("demo", create_build(project="X", instances=INSTANCES), NotFoundError, 404, NO_PROJECT_X),
    ("demo", create_build(project_id=402, instances=[{"id": 9}]), NotFoundError, 404, "Instance not found"),
    ("demo", get_build_deployment(99), NotFoundError, 404, "No record found for id '99'"),
    ("demo", replace(DEPLOYMENT, body={"pattern_id": 808}), BadRequestError, 400, "A build_id is required!"),
    ("demo", DEPLOYMENT, NotFoundError, 404, "Build not found"),
    (
        "demo",
        create_build_deployment(build_id=5139, pattern_id=808, deployment="X"),
        NotFoundError,
        404,
        "A deployment with the name 'X' does not exist!",
    ),
]

HTML = "<html><head><title>400 Bad Request</title></head><body><h1>No instances specified!</h1></body></html>"


def check(caught, kind, status, message, call, note=""):
    error = caught.value
    assert type(error) is kind
    assert (error.status, error.message, error.method, error.path) == (status, message, call.method, call.path)
    assert str(error) == f"{call.method} {call.path} returned {status}: {message}{note}"


@pytest.mark.parametrize(("user", "call", "kind", "status", "message"), TABLE)
def test_documented_error(metakraftwerk, connect, user, call, kind, status, message):
    with pytest.raises(ApiError) as caught:
        connect(f"{user}@example.com").call(call)
    check(caught, kind, status, message, call)
    assert len(metakraftwerk.requests(path="/api/*")) == 1


@pytest.mark.parametrize(
    "call", [find_builds(), get_build(1), BUILD, find_build_deployments(), get_build_deployment(1), DEPLOYMENT]
)
def test_every_request_needs_a_valid_token(metakraftwerk, connect, call):
    with pytest.raises(NotAuthenticatedError) as caught:
        connect(extra={"token": "no-token-of-this-server"}).call(call)
    check(caught, NotAuthenticatedError, 401, "Not authenticated", call)
    assert len(metakraftwerk.requests()) == 1


def test_bad_password_is_an_error(metakraftwerk, connect):
    api = connect(password="wr0ng")
    with pytest.raises(NotAuthenticatedError) as caught:
        api.call(find_builds())
    check(caught, NotAuthenticatedError, 401, "Invalid login", login(api.settings))
    assert [request["path"] for request in metakraftwerk.requests()] == ["/authentication"]


def test_login_without_an_email_is_an_error(connect):
    """Not possible with checked settings; so the row is provoked by a body of another client."""
    api = connect()
    call = replace(login(api.settings), body={"strategy": "local", "password": "demo-password"})
    with pytest.raises(BadRequestError) as caught:
        api.call(call)
    check(caught, BadRequestError, 400, "'email' is required", call)


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
@pytest.mark.parametrize(("status", "kind"), [(405, ApiError), (501, ServerError)])
def test_unimplemented_request_is_an_error(metakraftwerk, api, method, status, kind):
    """No function of the client makes such a call; the classes hold for any."""
    metakraftwerk.set(not_implemented_status=status)
    call = Request(method, api_path("builds", 5139), lambda reply: reply.json())
    with pytest.raises(ApiError) as caught:
        api.call(call)
    # A server error names the server; other errors are about the request.
    check(caught, kind, status, "Not implemented", call, f" (at {metakraftwerk.url})" if kind is ServerError else "")


@pytest.mark.parametrize("status", [402, 406, 409, 410, 415, 422, 431, 451])
@pytest.mark.parametrize("call", [find_builds(), BUILD])
def test_undocumented_status_is_not_retried(metakraftwerk, api, status, call):
    metakraftwerk.fault("status", path=call.path, status=status, body={"message": "No, thank you"}, times=None)
    with pytest.raises(ApiError) as caught:
        api.call(call)
    check(caught, ApiError, status, "No, thank you", call)
    assert len(metakraftwerk.requests(path=call.path)) == 1
    assert api.clock.pauses == []


@pytest.mark.parametrize(
    ("style", "message"),
    [
        ("feathers5", "No instances specified!"),
        ("feathers4", "No instances specified!"),
        ("text", "No instances specified!"),
        ("html", HTML),
    ],
)
def test_error_body_may_have_any_form(metakraftwerk, api, style, message):
    metakraftwerk.set(error_body=style)
    call = replace(BUILD, body={"project_id": 402})
    with pytest.raises(BadRequestError) as caught:
        api.call(call)
    check(caught, BadRequestError, 400, message, call)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"message": "only this"}, "only this"),
        ({"error": "no message"}, '{"error": "no message"}'),
        ({"message": {"text": "no text"}}, '{"message": {"text": "no text"}}'),
        ([], "[]"),
        ("", "(no text)"),
        ("two\nlines\tand\x00more", "two lines and more"),
        ("ä" * 5000, "ä" * 2000),
        ({"message": "ö" * 5000}, "ö" * 2000),
    ],
)
def test_error_shows_message_or_short_body(metakraftwerk, api, body, message):
    metakraftwerk.fault("status", path="/api/*", status=403, body=body)
    with pytest.raises(ForbiddenError) as caught:
        api.call(find_downloads())
    assert caught.value.message == message


def test_query_is_not_part_of_an_error(metakraftwerk, api):
    with pytest.raises(NotFoundError) as caught:
        api.call(find_builds(project="X", user_id=1))
    assert caught.value.path == "/api/v1/builds"
