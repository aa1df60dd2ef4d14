"""Many callers at one moment, threads over requests and tasks over aiohttp: one login serves them all."""

from __future__ import annotations

import time

from mkw_airflow_provider.client.api.projects import find_projects
from mkw_airflow_provider.exceptions import ConnectionFailedError, NotAuthenticatedError

CALLERS = 20


def logins(metakraftwerk):
    return len(metakraftwerk.requests("POST", "/authentication"))


def test_one_login_for_all(metakraftwerk, api):
    metakraftwerk.fault("delay", path="/authentication", delay=0.1)
    outcomes = api.call_all([find_projects() for _ in range(CALLERS)])
    assert [len(projects) for projects in outcomes] == [4] * CALLERS
    assert logins(metakraftwerk) == 1
    assert len(metakraftwerk.requests("GET")) == CALLERS


def test_one_renewal_for_all_whose_token_was_refused(metakraftwerk, api):
    api.call(find_projects())
    metakraftwerk.expire_tokens()
    metakraftwerk.fault("delay", path="/authentication", delay=0.1)
    outcomes = api.call_all([find_projects() for _ in range(CALLERS)])
    assert [len(projects) for projects in outcomes] == [4] * CALLERS
    assert logins(metakraftwerk) == 2


def test_one_failure_for_all_who_wait(metakraftwerk, connect):
    api = connect(password="wr0ng")
    # All of them wait by the time that the answer comes.
    metakraftwerk.fault("delay", path="/authentication", delay=0.4)
    outcomes = api.call_all([find_projects() for _ in range(CALLERS)])
    assert [type(outcome) for outcome in outcomes] == [NotAuthenticatedError] * CALLERS
    assert {str(outcome) for outcome in outcomes} == {"POST /authentication returned 401: Invalid login"}
    assert logins(metakraftwerk) == 1


def test_outage_of_the_login_counts_for_each_caller(connect, serve):
    def silence(request):
        # Long enough for all to queue.
        time.sleep(0.1)

    server = serve(silence)
    api = connect(host=server.url, login="demo@example.com", password="demo-password")
    outcomes = api.call_all([find_projects() for _ in range(CALLERS)])
    assert {type(outcome) for outcome in outcomes} == {ConnectionFailedError}
    assert len({id(outcome) for outcome in outcomes}) == CALLERS
    assert {request.line for request in server.arrived} == {"POST /authentication HTTP/1.1"}
    # Those who wait for an attempt share it.
    assert len(server.arrived) < 2 * CALLERS


def test_logins_of_different_users_do_not_wait_for_each_other(metakraftwerk, connect):
    """A turn is kept for each user, so the one whose login hangs holds nobody else up."""
    demo, viewer = connect(), connect("viewer@example.com")
    demo.call(find_projects())
    viewer.call(find_projects())
    assert [request["user_id"] for request in metakraftwerk.requests("GET")] == [1, 2]
    assert logins(metakraftwerk) == 2
