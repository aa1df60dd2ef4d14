"""/api/v1/downloads: find downloads and download their files."""

from __future__ import annotations

import hashlib
import hmac
import mimetypes
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from mkw_airflow_provider.emulator.api.common import (
    IdFilter,
    RecordId,
    StateDep,
    TextFilter,
    UserDep,
    error_responses,
    json_list,
    responses,
)
from mkw_airflow_provider.emulator.api.response_models import Download
from mkw_airflow_provider.emulator.state import content, errors, lookups
from mkw_airflow_provider.emulator.state.errors import ApiError
from mkw_airflow_provider.emulator.state.state import State
from mkw_airflow_provider.emulator.state.store import Row, iso, now

router = APIRouter(prefix="/downloads", tags=["Downloads"])
files_router = APIRouter(prefix="/files/results", include_in_schema=False)

# A download is visible once its build is finished.
FINISHED = (
    "SELECT downloads.*, b.customer_id, b.project_id, b.starts, p.type, p.upload_id, p.name AS pattern "
    "FROM downloads JOIN builds b ON b.id = build_id JOIN patterns p ON p.id = downloads.pattern_id "
    "WHERE b.outcome = 'FINISHED' AND b.ends <= ?"
)

EXPIRED = "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"

ONE_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


class FileResponse(Response):
    """The bytes of a file, sent in chunks; counts the download when the last byte was sent.

    :param start: the first byte to send.
    :param end: the byte after the last one to send.
    """

    def __init__(self, state: State, download: Row, file: content.Content, start: int, end: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if state.switches.content_length:
            self.headers["content-length"] = str(end - start)
        else:
            del self.headers["content-length"]
        self._state = state
        self._download = download
        self._chunks: Iterator[bytes] = file.read(start, end)
        self._counts = end == file.size

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the bytes."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        for chunk in self._chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        if self._counts:
            self._state.store.execute(
                "UPDATE downloads SET downloaded = downloaded + 1 WHERE id = ?", self._download["id"]
            )
        await send({"type": "http.response.body", "body": b"", "more_body": False})


@router.get("", responses=responses(list[Download], 400, 401, 404), summary="Find downloads")
async def find_downloads(
    state: StateDep,
    user: UserDep,
    build_id: IdFilter = None,
    pattern: TextFilter = None,
    pattern_id: IdFilter = None,
) -> Response:
    """Downloads of finished builds that match all filters, in the projects that the user may view."""
    rows = state.store.all(
        f"{FINISHED} AND build_id = ifnull(?, build_id) AND downloads.pattern_id = ifnull(?, downloads.pattern_id) "  # noqa: S608
        "AND b.project_id IN (SELECT project_id FROM memberships WHERE user_id = ?) ORDER BY downloads.id",
        now(),
        build_id,
        lookups.resolve_filter(state, "patterns", pattern, pattern_id),
        user["id"],
    )
    return json_list(state, [render(row) for row in rows])


@router.get(
    "/{record_id}",
    response_class=Response,
    responses={
        200: {
            "description": "The file",
            "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}},
        },
        206: {
            "description": "The part of the file that the header Range asks for",
            "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}},
        },
        302: {"description": "With the switch `download_redirect`: the address of the file"},
        416: {"description": "The header Range asks for bytes beyond the end of the file"},
        **error_responses(401, 403, 404),
    },
    summary="Download a file",
)
async def get_download(request: Request, state: StateDep, user: UserDep, record_id: RecordId) -> Response:
    """The file of a download."""
    row = state.store.one(f"{FINISHED} AND downloads.id = ?", now(), record_id)
    if row is None:
        raise ApiError(404, errors.no_record(record_id))
    lookups.check_record_access(state, user, row["project_id"], record_id)
    target = state.switches.download_redirect
    if target == "off":
        return _file_response(request, state, row)
    # Like a signed URL, the key is the permission.
    path = f"/files/results/{row['key']}" + _signature(state, row)
    return RedirectResponse(path if target == "same" else target.rstrip("/") + path, 302)


@files_router.get("/{key}")
async def get_file(
    request: Request, state: StateDep, key: str, expires: int | None = None, signature: str = ""
) -> Response:
    """The file that a redirect points to. Its key is the permission."""
    row = state.store.one(f"{FINISHED} AND key = ?", now(), key)
    if row is None:
        raise ApiError(404, errors.PAGE_NOT_FOUND)
    if state.switches.download_url_seconds and (
        expires is None or expires <= now() or not hmac.compare_digest(signature, _sign(row, expires))
    ):
        # As file stores respond: XML, not the error of the API.
        return Response(EXPIRED, 403, media_type="application/xml")
    return _file_response(request, state, row)


def render(row: Row) -> dict[str, Any]:
    """Return a download with its documented fields."""
    return {
        "id": row["id"],
        "customer_id": row["customer_id"],
        "pattern_id": row["pattern_id"],
        "name": row["name"],
        "file_name": f"/files/results/{row['build_id']}_{row['pattern_id']}_{row['type'].lower()}_{row['name']}",
        "type": row["type"],
        "build_id": row["build_id"],
        "project_id": row["project_id"],
        "version": 1,
        "upload_id": row["upload_id"],
        "file_id": row["file_id"],
        "downloaded": row["downloaded"],
        "instance_id": row["instance_id"],
    }


def _signature(state: State, row: Row) -> str:
    """Return the query of a signed address, or nothing where addresses do not expire."""
    seconds = state.switches.download_url_seconds
    if not seconds:
        return ""
    expires = now() + int(seconds * 1000)
    return f"?expires={expires}&signature={_sign(row, expires)}"


def _sign(row: Row, expires: int) -> str:
    return hmac.new(row["key"].encode(), str(expires).encode(), hashlib.sha256).hexdigest()


def _file_response(request: Request, state: State, row: Row) -> Response:
    file = content.open_content(state, row)
    headers = {"content-disposition": f"attachment; filename*=UTF-8''{quote(row['name'], safe='')}"}
    status, start, end = 200, 0, file.size
    if state.switches.ranges:
        etag = _etag(row)
        headers |= {"accept-ranges": "bytes", "etag": etag}
        wanted = _parse_range(request.headers.get("range"), file.size)
        if wanted is not None and request.headers.get("if-range", etag) == etag:
            start, end = wanted
            if start >= end:
                return Response(status_code=416, headers=headers | {"content-range": f"bytes */{file.size}"})
            status, headers["content-range"] = 206, f"bytes {start}-{end - 1}/{file.size}"
    kind = mimetypes.guess_type(row["name"])[0] or "application/octet-stream"
    return FileResponse(state, row, file, start, end, status_code=status, headers=headers, media_type=kind)


def _etag(row: Row) -> str:
    identity = f"{row['id']} {iso(row['starts'])} {row['pattern_id']} {row['name']} {row['size']}"
    return f'"{hashlib.sha256(identity.encode()).hexdigest()[:32]}"'


def _parse_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Return the first byte and the byte after the last one; None for the complete file, as for several ranges."""
    match = ONE_RANGE.fullmatch(header or "")
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        return max(size - int(last), 0), size
    return int(first), min(int(last) + 1, size) if last else size
