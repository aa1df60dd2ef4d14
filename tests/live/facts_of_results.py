"""Facts about a build that has ended: its downloads and deployments. They need a test build."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from mkw_airflow_provider.client.api.downloads import Download, get_file
from mkw_airflow_provider.client.api.metadata import find_deliveries
from mkw_airflow_provider.client.flows.download import fetch
from mkw_airflow_provider.client.request import Response
from mkw_airflow_provider.client.text import address_without_secrets
from mkw_airflow_provider.exceptions import QueryError
from tests.live.account import UNKNOWN_NAME, Account, describe
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

#: Names of query parameters that limit how long an address is valid.
EXPIRY = {"expires", "x-amz-expires", "x-goog-expires", "se", "exp"}


class MemoryFile:
    """A sink that holds a file in memory.

    :param sent: headers of the request.
    """

    def __init__(self, **sent: str) -> None:
        self._sent = sent
        self.content = b""
        self.response: Response | None = None

    @property
    def received(self) -> int:
        """Number of bytes."""
        return len(self.content)

    def headers(self) -> dict[str, str]:
        """Return the headers of the request."""
        return self._sent

    def begin(self, response: Response) -> None:
        """Take status and headers."""
        self.response = response

    def write(self, piece: bytes) -> None:
        """Take the next piece."""
        self.content += piece

    def start_over(self) -> None:
        """Forget what was received."""
        self.content = b""


def _first_download(account: Account) -> Download:
    downloads = account.finished_build.downloads
    if not downloads:
        raise NotCheckedError("the test build has no downloads")
    return downloads[0]


def _fetch(account: Account, **headers: str) -> MemoryFile:
    """Download the first file as the client does."""
    sink = MemoryFile(**headers)
    account.run(fetch(account.session, _first_download(account).id, sink))
    return sink


def _file(account: Account) -> MemoryFile:
    """Return the first file, downloaded once."""
    return account.remember("file", lambda: _fetch(account))


def _redirect(account: Account) -> str | None:
    """Return the address that the request for the first file is redirected to."""

    def ask() -> str | None:
        return account.send(get_file(_first_download(account).id, MemoryFile(Range="bytes=0-0"))).redirects_to

    return account.remember("redirect", ask)


@fact(*TEST_BUILD)
def result_of_build(account: Account) -> Finding:
    """§2.1 End of the test build: FINISHED, with a list of downloads."""
    build = account.finished_build
    seen = f"{build.status}, {len(build.downloads)} downloads"
    return expect(bool(build.downloads), seen, "DownloadBuildOperator fails, or skips with if_empty='skip'")


@fact(*TEST_BUILD)
def automatic_deployments(account: Account) -> Finding:
    """§3 Deployments that the server starts after a build: none."""
    rows = account.respond("GET", "/build_deployments", build_id=account.finished_build.id).json()
    return expect(not rows, len(rows) or "none", "if_deployed='skip' treats them as done")


@fact(*TEST_BUILD)
def body_of_download(account: Account) -> Finding:
    """§2.2, 5.1 Body of GET /downloads/:id: the bytes of the file."""
    name, file = _first_download(account).name or "", _file(account)
    headers: Mapping[str, str] = file.response.headers if file.response else {}
    seen = f"{name}, {file.received} bytes, {headers.get('content-type')}, {headers.get('content-disposition')}"
    if name.lower().endswith(".zip") and not zipfile.is_zipfile(io.BytesIO(file.content)):
        return red(f"{seen}, not a ZIP file", "the check of ZIP files fails the download")
    return green(seen)


@fact(*TEST_BUILD)
def length_of_download(account: Account) -> Finding:
    """§2.2, 5.1 Length of a file: in Content-Length."""
    file = _file(account)
    length = file.response.headers.get("content-length") if file.response else None
    if length is not None and int(length) != file.received:
        return red(f"{length}, {file.received} bytes came", "the download fails as incomplete")
    return expect(length is not None, length or "none", "a break shows in the transfer, or in the check of ZIP files")


@fact(*TEST_BUILD)
def range_of_download(account: Account) -> Finding:
    """§2.2, 5.1 Request for a part of a file: 206 and that part, with an ETag."""
    file = _fetch(account, Range="bytes=1-3")
    response = file.response or Response(0, {})
    if response.status == 206 and file.received != 3:
        return red(f"206, {file.received} of 3 bytes", "a resumed file would be broken; its check fails")
    seen = f"{response.status}, {'an' if 'etag' in response.headers else 'no'} ETag"
    is_expected = response.status == 206 and "etag" in response.headers
    return expect(is_expected, seen, "after a break the file is downloaded from the beginning")


@fact(*TEST_BUILD)
def redirect_of_download(account: Account) -> Finding:
    """§2.2, 5.1 Address of the file: that of the API, without a redirect."""
    target = _redirect(account)
    if target is None:
        return green("no redirect")
    return tolerated(
        f"redirect to {address_without_secrets(target)}", "it is followed; another host does not get the token"
    )


@fact(*TEST_BUILD)
def expiry_of_redirect(account: Account) -> Finding:
    """§2.2, 5.1 Validity of a redirect's address: no limit in its query."""
    target = _redirect(account)
    names = {name.lower() for name, _ in parse_qsl(urlsplit(target or "").query)} & EXPIRY
    return expect(
        not names, f"limited by {', '.join(sorted(names))}" if names else "no limit", "the API is asked for a new one"
    )


@fact(*TEST_BUILD)
def count_of_downloads(account: Account) -> Finding:
    """§3 Counter of a download: goes up by one for each download over the API."""
    number = _first_download(account).id

    def count() -> Any:
        rows = account.respond("GET", "/downloads", build_id=account.finished_build.id).json()
        return next((row.get("downloaded") for row in rows if row["id"] == number), None)

    before = count()
    _fetch(account)
    after = count()
    if before is None or after is None:
        return tolerated(f"{before}, then {after}", "it is not used")
    return expect(after == before + 1, f"{before}, then {after}", "it is not used")


@fact(*TEST_BUILD)
def deliveries_of_build(account: Account) -> Finding:
    """§2.9 View @INFORMATION_SCHEMA.DELIVERIES: lists what a build changed."""
    try:
        rows = account.read(find_deliveries(account.finished_build.id, project_id=account.project_id))
    except QueryError as error:
        return tolerated(error, "changes are not shown; nothing is decided by them")
    incomplete = [row for row in rows if row.instance is None or row.mode is None]
    return expect(not incomplete, f"{len(rows)} rows", "changes are shown without names")


@fact(*TEST_BUILD, "failing_instance")
def failed_build_with_wait(account: Account) -> Finding:
    """§2.1, 5.7 POST /builds with wait for a build that fails: 2xx and the build, FAILED with a message."""
    instance = {"id": int(account.options.failing_instance or 0)}
    response = account.post_build(instance, wait=True, description="Test build of mkw-airflow-provider that fails.")
    if not response.ok:
        return tolerated(describe(response), "create_build raises this error; operators do not send `wait`")
    build = response.json()["build"]
    seen = f"{response.status}, {build.get('status')}: {build.get('message')}"
    if build.get("status") == "FINISHED":
        raise NotCheckedError("that build did not fail")
    return expect(build.get("status") == "FAILED" and bool(build.get("message")), seen, "it is read as it came")


@fact(*TEST_BUILD, "invalid_instance")
def build_of_invalid_instance(account: Account) -> Finding:
    """§2.1, 5.8 Build of an instance with validation errors: accepted."""
    instance = {"id": int(account.options.invalid_instance or 0)}
    response = account.post_build(instance, description="Test build of mkw-airflow-provider, invalid instance.")
    return expect(response.ok, describe(response), "the task fails with the server's message; selectors exclude them")


@fact(*TEST_BUILD, "closed_release")
def build_in_closed_release(account: Account) -> Finding:
    """§2.1, 5.8 Build in a closed release: refused with 400."""
    group, _, release = (account.options.closed_release or "").partition("/")
    instance = account.options.instance_definition()
    response = account.post_build(
        instance, releases={group: release}, description="Test build of mkw-airflow-provider, closed release."
    )
    return expect(response.status == 400, describe(response), "what the server does is the result of the task")


@fact(*TEST_DEPLOYMENT)
def unknown_agent(account: Account) -> Finding:
    """§2.4, 5.5 Deployment by an agent that does not exist: refused with 404."""
    build_id = account.finished_build.id
    response = account.post_deployment(build_id=build_id, agent=UNKNOWN_NAME, agent_group=None)
    if response.ok:
        return red(describe(response), "a misspelled agent is not noticed")
    return expect(response.status == 404, describe(response), "the task fails with the server's message")


@fact(*TEST_DEPLOYMENT)
def created_deployment(account: Account) -> Finding:
    """§1.6, 2.4, 5.5 Response to POST /build_deployments: 201 and the build deployment."""
    response = account.test_deployment.created
    value = response.json()
    if not isinstance(value, dict):
        return red(describe(response), "the deployment counts as uncertain")
    seen = f"{response.status}: {', '.join(value)}"
    if "id" not in account.test_deployment.record:
        return red(seen, "the deployment counts as uncertain")
    return expect(response.status == 201 and "id" in value, seen, "any 2xx is a success, and a wrapper is removed")


@fact(*TEST_DEPLOYMENT)
def created_deployment_is_visible(account: Account) -> Finding:
    """§2.4, 5.5 First GET and list after a new build deployment: contain it."""
    deployment = account.test_deployment
    rows = deployment.first_list.json_or_none()
    is_listed = isinstance(rows, list) and any(row["id"] == deployment.record.get("id") for row in rows)
    seen = f"{deployment.first_read.status}, {'listed' if is_listed else 'not listed'}"
    return expect(
        deployment.first_read.ok and is_listed, seen, "a search for a lost deployment is repeated for outage_tolerance"
    )


@fact(*TEST_DEPLOYMENT)
def outcome_of_deployment(account: Account) -> Finding:
    """§2.4, 5.5 Outcome of a build deployment: not reported."""
    record = account.test_deployment.record
    if "status" not in record and "message" not in record:
        return green("neither status nor message")
    return tolerated(
        f"status {record.get('status')}, message {record.get('message')}", "the task logs both, and fails on FAILED"
    )


@fact(*TEST_DEPLOYMENT)
def duration_of_deployment(account: Account) -> Finding:
    """§2.4, 5.5 Response to POST /build_deployments: comes before the deployment has run."""
    seconds = account.test_deployment.seconds
    return expect(
        seconds < account.prompt,
        f"after {seconds:.1f} s",
        "a deployment that takes longer than read_timeout is searched for in the list",
    )


@fact(*TEST_DEPLOYMENT, "agent_group")
def agent_of_deployment(account: Account) -> Finding:
    """§2.4, 5.5 Agent of a build deployment: the agent group that was requested."""
    groups = {row["name"]: row["id"] for row in account.rows("/agent_groups")}
    wanted = groups.get(account.options.agent_group)
    record = account.test_deployment.record
    seen = f"agent_id {record.get('agent_id', 'missing')}, agent_group_id {record.get('agent_group_id', 'missing')}"
    return expect(
        wanted is not None and record.get("agent_group_id") == wanted,
        seen,
        "deployments of different agents cannot be told apart, so a lost one is never taken for the task's own",
    )
