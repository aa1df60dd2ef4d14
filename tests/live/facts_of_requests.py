"""Facts about login, errors and lists. All of them only read."""

from __future__ import annotations

import json
import time
from typing import Any

from mkw_airflow_provider.client.api.authentication import Token
from tests.live.account import UNKNOWN_ID, UNKNOWN_NAME, Account, describe
from tests.live.findings import Finding, NotCheckedError, expect, fact, green, red, tolerated

TWENTY_HOURS = 72_000
#: Seconds by which two clocks may differ before anybody cares.
CLOCK_DIFFERENCE = 60

RESOURCES = (
    "projects",
    "patterns",
    "deployments",
    "releases",
    "release_groups",
    "agents",
    "agent_groups",
    "builds",
    "downloads",
    "build_deployments",
)
#: What the client reads by its id.
READ_BY_ID = {"builds", "downloads", "build_deployments"}

FEATHERS_5 = {"name", "message", "code", "className"}

#: Projects and patterns for which a list is read once more.
MOST_PARTS = 25

UNKNOWN_VIEW = "SELECT * FROM @INFORMATION_SCHEMA.NO_SUCH_VIEW"


@fact()
def token_lifetime(account: Account) -> Finding:
    """§1.3, 5.10 Lifetime of a token: 20 hours, as the claims of the JWT say."""
    lifetime = Token.of(account.token.value).lifetime
    if lifetime is None:
        return tolerated("not a JWT with iat and exp", "a token is used until the server refuses it with 401")
    return expect(
        lifetime == TWENTY_HOURS, f"{lifetime:.0f} s", "a token is renewed before the end that its claims give"
    )


@fact()
def refused_token(account: Account) -> Finding:
    """§1.3 Response to an invalid token: 401 Not authenticated."""
    response = account.respond("GET", "/projects", token="not-a-token")
    if response.status != 401:
        return red(describe(response), "the client logs in again only after a 401")
    return expect(describe(response) == "401 Not authenticated", describe(response), "only the status counts")


@fact("expired_token")
def expired_token(account: Account) -> Finding:
    """§1.3, 5.10 Response to an expired token: 401 Not authenticated."""
    response = account.respond("GET", "/projects", token=account.options.expired_token)
    if response.status != 401:
        return red(describe(response), "the client logs in again only after a 401")
    return expect(describe(response) == "401 Not authenticated", describe(response), "only the status counts")


@fact()
def login_without_email(account: Account) -> Finding:
    """§1.2, 1.4 Response to a login without an e-mail address: 400 'email' is required."""
    response = account.respond("POST", "/authentication", body={"strategy": "local"})
    return expect(
        describe(response) == "400 'email' is required", describe(response), "a login without one is never sent"
    )


@fact()
def error_body(account: Account) -> Finding:
    """§1.5, 5.2 Body of an error: a JSON object with name, message, code and className."""
    response = account.respond("GET", f"/builds/{UNKNOWN_ID}")
    value = response.json_or_none()
    if not isinstance(value, dict):
        return red(
            describe(response), "a 404 that is not JSON counts as a gateway's page: it is retried for outage_tolerance"
        )
    seen = f"{response.status}, {', '.join(value)}"
    if "message" not in value:
        return tolerated(seen, "errors show the whole body instead of the message")
    return expect(set(value) == FEATHERS_5, seen, "only the message is read")


@fact()
def unknown_ids(account: Account) -> Finding:
    """§2, 5.1 Response to an id that does not exist: 404 for every resource."""
    statuses = {name: account.respond("GET", f"/{name}/{UNKNOWN_ID}").status for name in RESOURCES}
    other = {name: status for name, status in statuses.items() if status != 404}
    seen = ", ".join(f"{name} {status}" for name, status in other.items()) or "404"
    if set(other) & READ_BY_ID:
        return red(seen, "only a 404 means that a build, a download or a build deployment does not exist")
    return expect(not other, seen, "the client does not read these by id")


@fact("foreign_build")
def foreign_record(account: Account) -> Finding:
    """§2.1 Response to a build of a project that the user may not view: 404."""
    response = account.respond("GET", f"/builds/{account.options.foreign_build}")
    if response.ok:
        return red(describe(response), "the client assumes that the server checks permissions")
    return expect(response.status == 404, describe(response), "the task fails immediately with the server's message")


@fact()
def plain_lists(account: Account) -> Finding:
    """§1.7 Form of lists: arrays without an envelope."""
    responses = {name: account.respond("GET", f"/{name}") for name in RESOURCES}
    refused = [f"{name}: {describe(response)}" for name, response in responses.items() if not response.ok]
    wrong = [
        f"{name}: {describe(response)}"
        for name, response in responses.items()
        if not isinstance(response.json_or_none(), list) and (response.ok or name in READ_BY_ID)
    ]
    if wrong:
        return red("; ".join(wrong), "only arrays are read as lists")
    return expect(not refused, "; ".join(refused) or "arrays", "what needs this list fails with the server's message")


@fact()
def complete_lists(account: Account) -> Finding:
    """§1.7, 5.3 Length of lists: all rows, without pages."""
    project = account.project_id
    builds = _ids(account.rows("/builds"))
    builds_by_project = [
        account.rows("/builds", project_id=row["id"]) for row in account.rows("/projects")[:MOST_PARTS]
    ]
    instances = _ids(account.rows("/instances", project_id=project))
    instances_by_pattern = [
        account.rows("/instances", project_id=project, pattern_id=row["id"])
        for row in account.rows("/patterns")[:MOST_PARTS]
    ]
    seen = f"{len(builds)} builds and {len(instances)} instances"
    missing = len(_ids(*builds_by_project) - builds) + len(_ids(*instances_by_pattern) - instances)
    if missing:
        return red(f"{seen}; filters find {missing} more", "retries and selections miss what is not listed")
    return green(seen)


def _ids(*lists: list[Any]) -> set[int]:
    return {row["id"] for rows in lists for row in rows}


@fact()
def order_of_lists(account: Account) -> Finding:
    """§5.3 Order of lists: by id, the oldest first."""
    lists = {name: [row["id"] for row in account.rows(f"/{name}")] for name in RESOURCES}
    unsorted = [name for name, ids in lists.items() if ids != sorted(ids)]
    return expect(not unsorted, f"another order in {', '.join(unsorted)}" if unsorted else "by id", "the client sorts")


@fact()
def rate_limit(account: Account) -> Finding:
    """§5.3 Rate limit: none announced in the headers."""
    headers = account.respond("GET", "/projects").headers
    found = [f"{name}: {value}" for name, value in headers.items() if "ratelimit" in name.replace("-", "")]
    return expect(not found, "; ".join(found) or "none", "a 429 is retried after its Retry-After")


@fact()
def unknown_query(account: Account) -> Finding:
    """§1.7, 5.3 Response to an undocumented query parameter: 400."""
    response = account.respond("GET", "/projects", no_such_parameter="1")
    return expect(response.status == 400, describe(response), "only documented parameters are sent")


@fact()
def unknown_project(account: Account) -> Finding:
    """§2.7 Projects with a name that does not exist: an empty array."""
    response = account.respond("GET", "/projects", name=UNKNOWN_NAME)
    if response.json_or_none() == []:
        return green("[]")
    if response.ok:
        return red(describe(response), "the filter has no effect, so lists contain other records")
    return tolerated(describe(response), "find_projects raises the server's error")


@fact()
def unknown_filter(account: Account) -> Finding:
    """§2.1, 2.3 Builds of a pattern that does not exist: 404."""
    response = account.respond("GET", "/builds", pattern=UNKNOWN_NAME)
    if response.status == 404:
        return green(describe(response))
    if response.json_or_none() == []:
        return tolerated("[]", "the list is empty, so a misspelled name causes no error")
    return red(describe(response), "the filter has no effect, so lists contain other records")


@fact()
def releases_in_queries(account: Account) -> Finding:
    """§1.7, 5.11 Query parameter releases: a JSON object."""
    groups = {row["id"]: row["name"] for row in account.rows("/release_groups")}
    release = next((row for row in account.rows("/releases") if row.get("group_id") in groups), None)
    if release is None:
        raise NotCheckedError("there is no release")
    group = groups[release["group_id"]]
    response = account.respond("GET", "/builds", releases=json.dumps({group: release["name"]}))
    rows = response.json_or_none()
    if not isinstance(rows, list):
        brackets = account.respond("GET", "/builds", **{f"releases[{group}]": release["name"]})
        return red(
            f"{describe(response)}; as releases[GROUP]=NAME: {describe(brackets)}",
            "filters by release fail with this error",
        )
    others = [row["id"] for row in rows if release["id"] not in row.get("releases", [])]
    if others:
        return red(f"{len(others)} builds of other releases", "filters by release have no effect")
    return green(f"accepted, {len(rows)} builds")


@fact()
def clock(account: Account) -> Finding:
    """§2.1 Clock of the server, in the header Date: that of this machine, within a minute."""
    response = account.respond("GET", "/projects")
    if response.date is None:
        return tolerated("no header Date", "the clock of this machine counts")
    ahead = response.date - time.time()
    return expect(
        abs(ahead) < CLOCK_DIFFERENCE, f"{ahead:+.0f} s", "the age of builds is counted on the server's clock"
    )


@fact()
def metadata_result(account: Account) -> Finding:
    """§2.9, 5.4 Result of one SQL statement: 201 and an object with rows."""
    statement = "SELECT * FROM @INFORMATION_SCHEMA.INSTANCES"
    response = account.respond("POST", "/metadata", body={"project_id": account.project_id, "statement": statement})
    if not response.ok:
        return red(describe(response), "query_metadata raises the server's error; changes of builds are not shown")
    value = response.json_or_none()
    if isinstance(value, list) and len(value) == 1:
        return tolerated(f"{response.status}, an array with one object", "the object in it is read")
    if not isinstance(value, dict) or not isinstance(value.get("rows"), list):
        return red(describe(response), "query_metadata raises ProtocolError or returns no rows")
    return expect(response.status == 201, f"{response.status}, an object", "any 2xx is a success")


@fact()
def metadata_error(account: Account) -> Finding:
    """§2.9 Result of a wrong SQL statement: status ERROR and a message."""
    response = account.respond("POST", "/metadata", body={"project_id": account.project_id, "statement": UNKNOWN_VIEW})
    value = response.json_or_none()
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not response.ok:
        return tolerated(describe(response), "query_metadata raises this error instead of QueryError")
    if not isinstance(value, dict) or value.get("status") != "ERROR":
        return red(describe(response), "a failed statement is taken for one without rows")
    seen = f"{response.status}, {', '.join(value)}"
    return expect("message" in value or "error" in value, seen, "QueryError says that the server gave no reason")
