"""The table at the end of `make versions`, from reports of pytest."""

from __future__ import annotations

from pathlib import Path

from dev.versions import Counts, make_row, read_report, render

REPORT = '<testsuites><testsuite tests="12" skipped="3" failures="2" errors="1" time="61.6"/></testsuites>'


def _report(folder: Path, *, name: str, airflow: str, text: str | None) -> Path:
    (folder / name / "lib/python3.11/site-packages" / f"apache_airflow-{airflow}.dist-info").mkdir(parents=True)
    (folder / name / "lib/python3.11/site-packages" / f"apache_airflow_core-{airflow}.dist-info").mkdir()
    (folder / name / "pyvenv.cfg").write_text("home = /usr/bin\nversion_info = 3.11.7\n")
    report = folder / name / "airflow.xml"
    if text is not None:
        report.write_text(text)
    return report


def test_errors_count_as_failed(tmp_path: Path) -> None:
    (tmp_path / "airflow.xml").write_text(REPORT)
    assert read_report(tmp_path / "airflow.xml") == Counts(passed=6, skipped=3, failed=3, seconds=61.6)


def test_incomplete_report_is_none(tmp_path: Path) -> None:
    (tmp_path / "airflow.xml").write_text(REPORT[:40])
    assert read_report(tmp_path / "airflow.xml") is None


def test_table_has_a_row_for_each_report(tmp_path: Path) -> None:
    reports = [
        _report(tmp_path, name="3.1", airflow="3.1.8", text=REPORT),
        _report(tmp_path, name="lowest", airflow="2.11.0", text=None),
    ]
    assert render([make_row(report) for report in reports]).splitlines() == [
        "Airflow        Python  tests          passed  skipped     failed  seconds",
        "-------------  ------  -------------  ------  -------  ---------  -------",
        "3.1.8          3.11.7  tests/airflow       6        3          3       62",
        "2.11.0 lowest  3.11.7  tests/airflow                   no report",
    ]
