from __future__ import annotations

import hashlib
import http.client
import io
import re
import zipfile

import pytest

from mkw_airflow_provider.emulator.state.content import Content
from mkw_airflow_provider.emulator.state.generate import make_ddl

FILE = "/downloads/5442"


def counter(emulator):
    return emulator.downloads()[0]["downloaded"]


def test_the_list_has_the_documented_fields(demo, finished):
    name = finished["downloads"][0]["name"]
    assert demo.get("/downloads?build_id=5139&pattern=CORE_DV_HLS").json == [
        {
            "id": 5442,
            "customer_id": 1,
            "pattern_id": 808,
            "name": name,
            "file_name": f"/files/results/5139_808_iics_{name}",
            "type": "IICS",
            "build_id": 5139,
            "project_id": 402,
            "version": 1,
            "upload_id": 1359,
            "file_id": None,
            "downloaded": 0,
            "instance_id": None,
        }
    ]


@pytest.mark.parametrize("query", ["build_id=1", "pattern=STAGE_LOAD", "pattern_id=809"])
def test_filters_leave_out_other_downloads(demo, finished, query):
    assert demo.get(f"/downloads?{query}").json == []


def test_an_unknown_pattern_in_the_filter(demo):
    answer = demo.get("/downloads?pattern=X")
    assert (answer.status, answer.message) == (404, "A pattern with the name 'X' does not exist!")


def test_the_file_is_a_zip_with_ddl_for_each_instance_and_a_manifest(emulator, demo):
    emulator.set(build_seconds=0)
    demo.build({"id": 1001}, {"id": 1006})
    answer = demo.get(FILE)
    with zipfile.ZipFile(io.BytesIO(answer.body)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["BUSINESS_VAULT/AIRPLANE.sql", "BUSINESS_VAULT/CRM/CUSTOMER.sql", "MANIFEST.txt"]
        statements = archive.read("BUSINESS_VAULT/AIRPLANE.sql").decode()
        manifest = archive.read("MANIFEST.txt").decode()
    assert re.findall(r"CREATE TABLE (\w+)", statements) == ["HUB_AIRPLANE", "LNK_AIRPLANE_SOURCE", "SAT_AIRPLANE"]
    assert "AIRPLANE_HK" in statements
    assert "build: 5139\n" in manifest
    assert "/BUSINESS_VAULT/CRM/CUSTOMER -> BUSINESS_VAULT/CRM/CUSTOMER.sql" in manifest


@pytest.mark.parametrize(
    ("pattern", "instance", "tables"),
    [
        ("CORE_DV_SAT", "AIRPLANE_DETAILS", ["SAT_AIRPLANE"]),
        ("STAGE_LOAD", "STG_ORDER", ["STG_ORDER"]),
        ("MART_DIM", "DIM_CUSTOMER", ["DIM_CUSTOMER"]),
    ],
)
def test_each_pattern_makes_its_own_tables(pattern, instance, tables):
    assert re.findall(r"CREATE TABLE (\w+)", make_ddl(pattern, instance)) == tables


def test_the_same_build_gives_the_same_bytes(demo, finished):
    assert demo.get(FILE).body == demo.get(FILE).body


def test_headers_of_a_whole_file(demo, finished):
    answer = demo.get(FILE)
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["content-length"] == str(len(answer.body))
    assert answer.headers["accept-ranges"] == "bytes"
    assert re.fullmatch(r'"[0-9a-f]{32}"', answer.headers["etag"])
    assert finished["downloads"][0]["name"] in answer.headers["content-disposition"]


@pytest.mark.parametrize(
    ("wanted", "start", "end"),
    [("bytes=10-", 10, None), ("bytes=0-9", 0, 10), ("bytes=-7", -7, None), ("bytes=5-99999999", 5, None)],
)
def test_a_range_is_answered_with_206(demo, finished, wanted, start, end):
    whole = demo.get(FILE).body
    answer = demo.get(FILE, headers={"Range": wanted})
    assert (answer.status, answer.body) == (206, whole[start:end])
    first = start % len(whole)
    assert answer.headers["content-range"] == f"bytes {first}-{first + len(answer.body) - 1}/{len(whole)}"


def test_a_range_behind_the_end_is_416(demo, finished):
    size = len(demo.get(FILE).body)
    answer = demo.get(FILE, headers={"Range": f"bytes={size}-"})
    assert (answer.status, answer.headers["content-range"]) == (416, f"bytes */{size}")


@pytest.mark.parametrize("wanted", ["bytes=0-1,5-6", "lines=1-2", "bytes=-", "bytes"])
def test_other_ranges_are_answered_with_the_whole(demo, finished, wanted):
    assert demo.get(FILE, headers={"Range": wanted}).status == 200


def test_if_range_with_another_validator_gets_the_whole(demo, finished):
    etag = demo.get(FILE).headers["etag"]
    assert demo.get(FILE, headers={"Range": "bytes=5-", "If-Range": etag}).status == 206
    assert demo.get(FILE, headers={"Range": "bytes=5-", "If-Range": '"other"'}).status == 200


def test_the_validator_changes_with_the_content(emulator, demo, finished):
    before = demo.get(FILE).headers["etag"]
    emulator.set_download(5442, size=500)
    assert demo.get(FILE).headers["etag"] != before


def test_without_ranges(emulator, demo, finished):
    emulator.set(ranges=False)
    answer = demo.get(FILE, headers={"Range": "bytes=5-"})
    assert answer.status == 200
    assert {"accept-ranges", "etag", "content-range"}.isdisjoint(answer.headers)


def test_without_content_length_the_body_is_chunked(emulator, demo, finished):
    whole = demo.get(FILE).body
    emulator.set(content_length=False)
    answer = demo.get(FILE)
    assert answer.body == whole
    assert answer.headers["transfer-encoding"] == "chunked"
    assert "content-length" not in answer.headers


def test_only_transfers_to_the_last_byte_are_counted(emulator, demo, finished):
    size = len(demo.get(FILE).body)
    assert counter(emulator) == 1
    demo.get(FILE, headers={"Range": "bytes=0-3"})
    assert counter(emulator) == 1
    demo.get(FILE, headers={"Range": f"bytes={size - 3}-"})
    assert counter(emulator) == 2
    emulator.fault("truncate", path="/api/v1/downloads/*")
    with pytest.raises(http.client.IncompleteRead):
        demo.get(FILE)
    assert counter(emulator) == 2
    assert demo.get("/downloads").json[0]["downloaded"] == 2


def test_a_redirect_to_the_same_host_leads_to_the_file_without_a_token(emulator, demo, nobody, finished):
    whole = demo.get(FILE).body
    emulator.set(download_redirect="same")
    answer = demo.get(FILE)
    location = answer.headers["location"]
    assert (answer.status, answer.body) == (302, b"")
    assert re.fullmatch(r"/files/results/[0-9a-f]{32}", location)
    assert nobody.call("GET", location).body == whole
    assert nobody.call("GET", location + "0").status == 404


def test_a_redirect_to_another_host(emulator, demo, finished):
    emulator.set(download_redirect=f"http://localhost:{emulator.port}/")
    location = demo.get(FILE).headers["location"]
    assert re.fullmatch(rf"http://localhost:{emulator.port}/files/results/[0-9a-f]{{32}}", location)


def test_a_download_of_a_running_build_cannot_be_had(emulator, demo):
    emulator.set(build_seconds=1000)
    demo.build()
    answer = demo.get(FILE)
    assert (answer.status, answer.message) == (404, "No record found for id '5442'")


@pytest.mark.parametrize("size", [150, 5000, 3 * 1024 * 1024 + 17])
def test_filler_of_any_size_is_a_valid_zip_where_the_name_says_so(emulator, demo, finished, size):
    emulator.set_download(5442, size=size)
    body = demo.get(FILE).body
    assert len(body) == size
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        assert archive.namelist() == ["filler.bin"]
        assert archive.testzip() is None


@pytest.mark.parametrize(("name", "size"), [("a.json", 1000), ("a.zip", 3), ("a.zip", 0)])
def test_other_filler_has_just_its_size(emulator, demo, finished, name, size):
    emulator.set_download(5442, name=name, size=size)
    assert len(demo.get(FILE).body) == size


def test_a_download_may_have_any_name(emulator, demo, finished):
    emulator.set_download(5442, name="../../etc/x.zip")
    assert demo.get("/builds/5139").json["downloads"][0]["name"] == "../../etc/x.zip"
    assert "../../etc/x.zip" not in demo.get(FILE).headers["content-disposition"]
    assert zipfile.is_zipfile(io.BytesIO(demo.get(FILE).body))


@pytest.mark.parametrize(("start", "end"), [(0, 30), (2, 28), (5, 12), (12, 13), (24, 30), (29, 30)])
def test_any_part_of_a_content_is_the_part_of_the_whole(start, end):
    content = Content(b"0123456789", 10, b"abcdefghij")
    whole = b"".join(content.read(0, content.size))
    assert (len(whole), whole[:10], whole[20:]) == (30, b"0123456789", b"abcdefghij")
    assert b"".join(content.read(start, end)) == whole[start:end]


def test_large_filler_comes_in_pieces_of_a_mebibyte_at_most():
    content = Content(b"head", 5 * 1024 * 1024, b"tail")
    chunks = list(content.read(0, content.size))
    assert max(map(len, chunks)) == 1024 * 1024
    assert sum(map(len, chunks)) == content.size
    rest = b"".join(content.read(1_500_000, content.size))
    assert hashlib.sha256(rest).digest() == hashlib.sha256(b"".join(chunks)[1_500_000:]).digest()
