"""Names of files: whatever the API sends, they stay in their folder and tell files apart."""

from __future__ import annotations

import os
import posixpath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mkw_airflow_provider.client.api.downloads import Download
from mkw_airflow_provider.client.flows.download_build import final_names
from mkw_airflow_provider.client.storage.download_sink import LONGEST_NAME, safe_name
from mkw_airflow_provider.client.storage.manifest import MANIFEST
from tests.kit.simulation import PROPERTY

#: Names as an adversary would choose them.
hostile = st.text(st.sampled_from("aB1 ./\\:*?[]<>|~-\0\n\t\u202e\u00e4\U0001f4be\ud800"), max_size=30) | st.text(
    max_size=300
)
ids = st.integers(0, 10**10)


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("CORE_DV_HLS_2026-4-2_10_14.zip", "CORE_DV_HLS_2026-4-2_10_14.zip"),
        ("PC_REFDATA_BTH_2018-11-28_16_26.XML", "PC_REFDATA_BTH_2018-11-28_16_26.XML"),
        ("Lieferung März.json", "Lieferung März.json"),
        ("archive.tar.gz", "archive.tar.gz"),
        ("../../etc/passwd", "passwd"),
        ("..\\..\\windows\\system.ini", "system.ini"),
        ("/files/results/a.zip", "a.zip"),
        ("C:\\a.zip", "a.zip"),
        (".hidden", "hidden"),
        ("...a.zip", "a.zip"),
        (" a.zip ", "a.zip"),
        ("a .", "a"),
        (". a", "a"),
        ("a .zip", "a.zip"),
        ("a\n\t\0b.zip", "ab.zip"),
        ("\u202egpj.exe", "gpj.exe"),
        ('a<b>c:d"e|f?g*h[i]j.sql', "a_b_c_d_e_f_g_h_i_j.sql"),
        ("~", "~"),
        (None, "download-7"),
        ("", "download-7"),
        ("..", "download-7"),
        ("a/", "download-7"),
        (" . . ", "download-7"),
        ("\ud800", "download-7"),
    ],
)
def test_names_are_kept_as_far_as_they_are_safe(name, safe):
    assert safe_name(name, 7) == safe


@PROPERTY
@given(st.none() | hostile, ids)
def test_a_name_never_leaves_its_folder_is_never_empty_and_never_hidden(name, number):
    safe = safe_name(name, number)
    assert safe
    assert posixpath.normpath(posixpath.join("/folder", safe)) == f"/folder/{safe}"
    assert os.path.dirname(safe) == ""
    assert not set('/\\:*?"<>|[]\0') & set(safe)
    assert safe == safe.strip(" .")
    assert safe.isprintable()
    assert len(safe.encode()) <= LONGEST_NAME


@PROPERTY
@given(hostile, ids)
def test_a_safe_name_is_not_changed_any_more(name, number):
    once = safe_name(name, number)
    assert safe_name(once, number) == once


@pytest.mark.parametrize(
    ("name", "end"), [("a" * 500 + ".zip", "a.zip"), ("ä" * 500 + ".zip", "ä.zip"), ("a." + "b" * 500, "bb")]
)
def test_a_long_name_is_cut_before_its_suffix(name, end):
    safe = safe_name(name, 7)
    assert safe.endswith(end)
    assert LONGEST_NAME - 1 <= len(safe.encode()) <= LONGEST_NAME


@pytest.mark.parametrize(
    ("name", "taken", "safe"),
    [
        ("a.zip", {"a.zip"}, "a-7.zip"),
        ("A.ZIP", {"a.zip"}, "A-7.ZIP"),
        ("a", {"a"}, "a-7"),
        ("a.zip", {"a.zip", "a-7.zip"}, "a-7-7.zip"),
        ("a.zip", {"b.zip"}, "a.zip"),
    ],
)
def test_a_name_that_is_taken_gets_the_id_before_its_suffix(name, taken, safe):
    assert safe_name(name, 7, taken) == safe


@PROPERTY
@given(
    st.dictionaries(
        st.integers(1, 40),
        st.none()
        | st.sampled_from(
            [
                "a.zip",
                "A.zip",
                "a-1.zip",
                "a-2.zip",
                "a-3.zip",
                "a-2-3.zip",
                "manifest.json",
                "MANIFEST.json",
                ".manifest.json",
                "download-1",
                "download-2",
            ]
        )
        | hostile,
    )
)
def test_no_two_files_of_a_build_have_one_name_and_none_has_that_of_the_manifest(given_names):
    names = final_names([Download(number, name=name) for number, name in given_names.items()])
    assert set(names) == set(given_names)
    lower = [name.lower() for name in names.values()]
    assert len(set(lower)) == len(lower)
    assert MANIFEST not in lower
    assert not [name for name in lower if name.startswith(".")]


def test_names_depend_on_the_downloads_only():
    downloads = [Download(1, name="a.zip"), Download(2, name="a.zip"), Download(3, name="b.zip")]
    assert final_names(downloads) == {1: "a.zip", 2: "a-2.zip", 3: "b.zip"}
