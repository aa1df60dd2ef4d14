"""Many concurrent callers, threads with requests and tasks with aiohttp, share one login."""

from __future__ import annotations

import time

from mkw_airflow_provider.client.api.projects import find_projects
from mkw_airflow_provider.exceptions import ConnectionFailedError, NotAuthenticatedError

CALLERS = 20


def logins(metakraftwerk):
    return len(metakraftwerk.requests("POST", "/authentication"))


def test_all_callers_share_one_login(metakraftwerk, api):
    metakraftwerk.fault("delay", path="/authentication", delay=0.1)
    outcomes = api.call_all([find_projects() for _ in range(CALLERS)])
    assert [len(projects) for projects in outcomes] == [4] * CALLERS
    assert logins(metakraftwerk) == 1
    assert len(metakraftwerk.requests("GET")) == CALLERS


def test_refused_callers_share_one_login(metakraftwerk, api):
    api.call(find_projects())
    metakraftwerk.expire_tokens()
    metakraftwerk.fault("delay", path="/authentication", delay=0.1)
    outcomes = api.call_all([find_projects() for _ in range(CALLERS)])
    assert [len(projects) for projects in outcomes] == [4] * CALLERS
    assert logins(metakraftwerk) == 2


def test_waiting_callers_share_a_failed_login(metakraftwerk, connect):
    api = connect(password="wr0ng")
    # All of them are waiting when the response arrives.
    metakraftwerk.fault("delay", path="/authentication", delay=0.4)
    outcomes = api.call_all([find_projects() for _ in range(CALLERS)])
    assert [type(outcome) for outcome in outcomes] == [NotAuthenticatedError] * CALLERS
    assert {str(outcome) for outcome in outcomes} == {"POST /authentication returned 401: Invalid login"}
    assert logins(metakraftwerk) == 1


def test_login_outage_counts_for_each_caller(connect, serve):
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


def test_users_log_in_independently(metakraftwerk, connect):
    """The lock is per user, so one whose login hangs does not block the others."""
    demo, viewer = connect(), connect("viewer@example.com")
    demo.call(find_projects())
    viewer.call(find_projects())
    assert [request["user_id"] for request in metakraftwerk.requests("GET")] == [1, 2]
    assert logins(metakraftwerk) == 2
