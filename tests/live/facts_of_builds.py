"""Facts about a build that is running. They need a project and an instance for test builds."""

from __future__ import annotations

from typing import Any

from tests.live.account import DESCRIPTION, Account, describe
from tests.live.facts_of_requests import CLOCK_DIFFERENCE
from tests.live.findings import (
    TEST_BUILD,
    TEST_DEPLOYMENT,
    Finding,
    NotCheckedError,
    expect,
    fact,
    green,
    red,
    tolerated,
)
from tests.live.options import variable


@fact(*TEST_BUILD)
def status_of_created_build(account: Account) -> Finding:
    """§1.6, 5.4 Status of a successful POST /builds: 201."""
    status = account.test_build.created.status
    return expect(status == 201, status, "any 2xx is a success")


@fact(*TEST_BUILD)
def created_build(account: Account) -> Finding:
    """§2.1 Response to POST /builds: a build with id and status only, and warnings."""
    value = account.test_build.created.json()
    build = value["build"]
    seen = f"{', '.join(value)}; build: {', '.join(build)}"
    if "status" not in build:
        return red(seen, "a build without a status is no build: the start counts as uncertain")
    return expect(set(build) == {"id", "status"} and set(value) == {"build", "warnings"}, seen, "the rest is kept")


@fact(*TEST_BUILD)
def omitted_releases(account: Account) -> Finding:
    """§2.1, 5.8 Build without releases: accepted, with a warning for each release group."""
    warnings = account.test_build.created.json().get("warnings")
    if account.options.releases:
        raise NotCheckedError(f"{variable('releases')} is set")
    if not isinstance(warnings, list):
        return tolerated(f"warnings: {warnings}", "read as no warnings")
    texts = "; ".join(map(str, warnings))
    return expect(bool(warnings), texts or "no warnings", "nothing is logged")


@fact(*TEST_BUILD)
def created_build_is_readable(account: Account) -> Finding:
    """§2.1 First GET of a new build: 200."""
    response = account.test_build.first_read
    return _check_first_read(response, "a 404 is retried for 60 s")


def _check_first_read(response: Any, effect: str) -> Finding:
    if response.ok or response.status == 404:
        return expect(response.status == 200, describe(response), effect)
    return red(describe(response), "the task fails with the server's message")


@fact(*TEST_BUILD)
def created_build_is_listed(account: Account) -> Finding:
    """§2.1 First list after a new build: contains it."""
    build = account.test_build
    return _check_first_list(build.first_list, build.id, "a search for a lost build is repeated for outage_tolerance")


def _check_first_list(response: Any, record_id: int, effect: str) -> Finding:
    rows = response.json_or_none()
    if not isinstance(rows, list):
        return red(describe(response), "a build whose response was lost cannot be found")
    is_listed = any(row.get("id") == record_id for row in rows)
    return expect(is_listed, f"{'listed' if is_listed else 'not listed'}, {len(rows)} rows", effect)


@fact(*TEST_BUILD)
def description_is_kept(account: Account) -> Finding:
    """§2.1 Description of a build: kept as sent, also a long one."""
    build = account.test_build
    text = account.running_build.description or ""
    sent = f"{build.marker} {DESCRIPTION}"
    seen = f"{len(text)} of {len(sent)} characters"
    if str(build.marker) not in text:
        return red(seen, "without the marker, a retry cannot find the build of a lost response")
    return expect(text == sent, seen, "the marker at the start is kept")


@fact(*TEST_BUILD)
def progress_is_a_number(account: Account) -> Finding:
    """§2.1 Progress of a running build: an integer from 0 to 100."""
    build = account.running_build
    value = build.raw.get("progress")
    if build.has_ended:
        raise NotCheckedError("the test build ended too soon")
    is_expected = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 100
    return expect(is_expected, repr(value), "polls are timed by the age of the build alone")


@fact(*TEST_BUILD)
def timestamps_follow_date(account: Account) -> Finding:
    """§2.1 Clock of timestamps: that of the header Date, within a minute."""
    date, start = account.test_build.created.date, account.running_build.created_at
    if date is None or start is None:
        raise NotCheckedError("no header Date" if date is None else "no created_at")
    ahead = start.timestamp() - date
    if abs(ahead) < CLOCK_DIFFERENCE:
        return green(f"{ahead:+.0f} s")
    return red(
        f"{ahead:+.0f} s",
        "the age of builds is wrong: polls come too often or too late, and old builds may pass for new ones",
    )


@fact(*TEST_DEPLOYMENT)
def deploy_running_build(account: Account) -> Finding:
    """§2.4, 5.5 Deployment of a build that is still running: refused with 400."""
    if account.running_build.has_ended:
        raise NotCheckedError("the test build ended too soon")
    response = account.post_deployment()
    if response.status == 404 or response.status >= 500:
        return red(describe(response), "the task fails with a misleading message, or searches for the deployment")
    if not response.ok:
        return expect(response.status == 400, describe(response), "the task fails with the server's message")
    if account.running_build.has_ended:
        raise NotCheckedError("the test build ended too soon")
    return tolerated(describe(response), "nothing: who deploys without waiting gets what the server makes of it")


@fact(*TEST_BUILD)
def update_of_build(account: Account) -> Finding:
    """§2.1, 5.4 Response to PATCH /builds/:id (not implemented, as documented): 405."""
    response = account.respond("PATCH", f"/builds/{account.test_build.id}", body={})
    return expect(response.status == 405, describe(response), "it is never sent")
