"""Names of files: whatever the API sends, they stay in their folder and differ on every file system."""

from __future__ import annotations

import os
import posixpath
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mkw_airflow_provider.client.known_secrets import remember_secrets
from mkw_airflow_provider.client.storage.file_names import DEVICES, MAX_NAME, comparable, final_names, safe_name
from mkw_airflow_provider.client.storage.manifest import MANIFEST
from tests.kit.simulation import PROPERTY

#: Names as an adversary would choose them.
hostile = (
    st.text(st.sampled_from("aB1 ./\\:*?[]<>|~-\0\n\t\u202e\u200d\u00e4a\u0308\u0301\U0001f4be\ud800"), max_size=30)
    | st.sampled_from(["CON", "nul.zip", "aux .txt", "COM1.tar.gz", "lpt\u00b2", "con", "_con", "CONIN$"])
    | st.text(max_size=300)
)
ids = st.integers(0, 10**10)


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("CORE_DV_HLS_2026-4-2_10_14.zip", "CORE_DV_HLS_2026-4-2_10_14.zip"),
        ("Lieferung März.json", "Lieferung März.json"),
        ("Ma\u0308rz.json", "März.json"),
        ("e\u200d\u0301.zip", "é.zip"),
        ("archive.tar.gz", "archive.tar.gz"),
        ("../../etc/passwd", "passwd"),
        ("..\\..\\windows\\system.ini", "system.ini"),
        ("C:\\a.zip", "a.zip"),
        (".hidden", "hidden"),
        (" a.zip ", "a.zip"),
        ("a .", "a"),
        ("a .zip", "a.zip"),
        ("a\n\t\0b.zip", "ab.zip"),
        ("\u202egpj.exe", "gpj.exe"),
        ('a<b>c:d"e|f?g*h[i]j.sql', "a_b_c_d_e_f_g_h_i_j.sql"),
        ("CON", "_CON"),
        ("nul.zip", "_nul.zip"),
        ("Com1.tar.gz", "_Com1.tar.gz"),
        ("aux .txt", "_aux.txt"),
        ("LPT\u00b3", "_LPT\u00b3"),
        ("console.zip", "console.zip"),
        (None, "download-7"),
        ("", "download-7"),
        ("..", "download-7"),
        ("a/", "download-7"),
        ("\ud800", "download-7"),
    ],
)
def test_safe_part_of_a_name_is_kept(name, safe):
    assert safe_name(name, 7) == safe


@PROPERTY
@given(st.none() | hostile, ids)
def test_any_name_is_safe(name, number):
    safe = safe_name(name, number)
    assert posixpath.normpath(posixpath.join("/folder", safe)) == f"/folder/{safe}"
    assert os.path.dirname(safe) == ""
    assert not set('/\\:*?"<>|[]\0') & set(safe)
    assert safe == safe.strip(" .") == unicodedata.normalize("NFC", safe)
    assert safe.isprintable()
    assert 0 < len(safe.encode()) <= MAX_NAME
    assert not DEVICES.fullmatch(safe.partition(".")[0].strip())
    assert safe_name(safe, number) == safe


@pytest.mark.parametrize(
    ("name", "end"), [("a" * 500 + ".zip", "a.zip"), ("ä" * 500 + ".zip", "ä.zip"), ("a." + "b" * 500, "bb")]
)
def test_long_name_is_cut_before_its_suffix(name, end):
    safe = safe_name(name, 7)
    assert safe.endswith(end)
    assert MAX_NAME - 1 <= len(safe.encode()) <= MAX_NAME


@pytest.mark.parametrize(
    ("names", "files"),
    [
        (["a.zip", "a.zip", "b.zip"], ["a.zip", "a-2.zip", "b.zip"]),
        (["a.zip", "A.ZIP"], ["a.zip", "A-2.ZIP"]),
        (["a", "a"], ["a", "a-2"]),
        (["a.zip", "a-3.zip", "a.zip"], ["a.zip", "a-3.zip", "a-3-3.zip"]),
        (["STRASSE.zip", "stra\u00dfe.zip"], ["STRASSE.zip", "stra\u00dfe-2.zip"]),
        (["\u00e9.zip", "e\u0301.zip"], ["\u00e9.zip", "\u00e9-2.zip"]),
        (["k.zip", "\u212a.zip"], ["k.zip", "K-2.zip"]),
        (["MANIFEST.json", "manifest.json. "], ["MANIFEST-1.json", "manifest-2.json"]),
    ],
)
def test_equal_names_get_the_id(names, files):
    assert list(final_names(enumerate(names, 1), MANIFEST).values()) == files


@PROPERTY
@given(st.lists(st.none() | st.sampled_from(["a.zip", "A.zip", "a-1.zip", "a-2-3.zip", "MANIFEST.json"]) | hostile))
def test_names_of_a_build_differ_everywhere(given_names):
    names = final_names(enumerate(given_names), MANIFEST)
    assert len({comparable(name) for name in [*names.values(), MANIFEST]}) == len(given_names) + 1
    assert not [name for name in names.values() if name.startswith(".")]


def test_secret_in_a_name_is_replaced():
    remember_secrets("only-i-know")
    assert safe_name("token only-i-know.sql", 7) == "token ___.sql"
